"""What is read from the machine and remembered in kubelet's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.core.resources import Resources
from kmsched.errors import ConfigRefused
from kmsched.executor.kubelet_config import Machine
from kmsched.executor.machine import (
    free_port,
    read_machine,
    remember_allocatable,
    remembered_allocatable,
)


def machine_files(folder: Path, controllers: str) -> None:
    (folder / "meminfo").write_text("MemTotal:       2048 kB\nMemFree: 1 kB\n")
    (folder / "cpuinfo").write_text("processor\t: 0\nmodel : processor x\n\nprocessor\t: 1\n")
    (folder / "cgroup.controllers").write_text(controllers)


@pytest.mark.parametrize(("controllers", "has"), [("cpu io memory pids\n", True), ("io pids\n", False), ("\n", False)])
def test_capacity_is_what_the_kernel_says(tmp_path: Path, controllers: str, has: bool) -> None:
    machine_files(tmp_path, controllers)
    assert read_machine(tmp_path, tmp_path) == Machine(2, 2048 * 1024, has)


def test_cgroup_v1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    machine_files(tmp_path, "")
    (tmp_path / "cgroup.controllers").unlink()
    assert not read_machine(tmp_path, tmp_path).has_controllers
    for name in ("cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
    assert read_machine(tmp_path, tmp_path).has_controllers


def test_a_machine_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="cannot read the machine's memory and cores"):
        read_machine(tmp_path, tmp_path)


def test_this_machine_can_be_read() -> None:
    assert read_machine().cpu_cores >= 1
    assert 1024 <= free_port() <= 65535


def test_allocatable_is_remembered_and_garbage_is_nothing(tmp_path: Path) -> None:
    assert remembered_allocatable(tmp_path) is None
    remember_allocatable(tmp_path, Resources(cpus=1500, mem=2_000_500))
    assert remembered_allocatable(tmp_path) == Resources(cpus=1500, mem=2_000_500)
    (tmp_path / "kmsched-allocatable.json").write_text('{"cpus_milli": []}')
    assert remembered_allocatable(tmp_path) is None
    with pytest.raises(ConfigRefused, match="cannot write"):
        remember_allocatable(tmp_path / "none", Resources())
