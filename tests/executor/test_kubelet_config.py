"""kubelet's configuration: the arithmetic of allocatable, and what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.resources import Resources
from kmsched.errors import ConfigRefused
from kmsched.executor.kubelet_config import (
    MIB,
    KubeletSetup,
    Machine,
    check_fits,
    command,
    render_config,
    settle_labels,
)

MACHINE = Machine(cpu_cores=4, memory_bytes=8192 * MIB, has_controllers=True)


def setup(allocatable: Resources, machine: Machine = MACHINE) -> KubeletSetup:
    return KubeletSetup(machine, allocatable, Path("/s/ca.crt"), 12345, "unix:///c.sock")


def allocatable_of(config: dict[str, dict[str, str]], machine: Machine) -> tuple[int, int]:
    """As kubelet computes it: capacity less reserved less the hard threshold; thousandths of a core, bytes."""
    reserved, eviction = config["systemReserved"], config["evictionHard"]
    memory = machine.memory_bytes - int(reserved["memory"]) - int(eviction.get("memory.available", "0"))
    return machine.cpu_cores * 1000 - int(reserved["cpu"].removesuffix("m")), memory


@given(st.integers(1, 64), st.integers(1, 4096), st.integers(0, 1000), st.floats(0, 1, exclude_min=True), st.booleans())
def test_allocatable_is_what_was_asked_for(cores: int, mib: int, odd: int, share: float, has: bool) -> None:
    machine = Machine(cores, mib * MIB + odd * 1024, has)
    wanted = Resources(cpus=max(1, int(cores * 1000 * share)), mem=max(1, int(mib * 1000 * share)))
    check_fits(wanted, machine, wanted)
    config = render_config(setup(wanted, machine))
    cpus, memory = allocatable_of(config, machine)
    assert cpus == wanted.cpus
    assert 0 <= memory - wanted.mem * MIB / 1000 < 1
    assert int(config["systemReserved"]["memory"]) >= 0


@pytest.mark.parametrize(
    ("allocatable", "words"),
    [
        (Resources(cpus=4001, mem=1000), "4001m of cpu, but the machine has only 4 cores"),
        (Resources(cpus=1000, mem=8_192_001), "8192 MiB of memory, but the machine has only 4 cores and 8192 MiB"),
    ],
)
def test_more_than_the_machine_has_is_refused(allocatable: Resources, words: str) -> None:
    with pytest.raises(ConfigRefused, match=words):
        check_fits(allocatable, MACHINE, allocatable)


def test_the_rest_of_the_configuration() -> None:
    config = render_config(setup(Resources(cpus=3000, mem=4_000_000)))
    assert config["kind"] == "KubeletConfiguration"
    assert config["authentication"]["x509"] == {"clientCAFile": "/s/ca.crt"}
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert (config["healthzBindAddress"], config["healthzPort"]) == ("127.0.0.1", 12345)
    assert (config["cgroupsPerQOS"], config["enforceNodeAllocatable"]) == (True, ["pods"])
    assert config["maxPods"] == 110
    assert "clusterDNS" not in config


def test_without_cgroup_controllers_kubelet_makes_no_cgroups_of_its_own() -> None:
    machine = Machine(4, 8192 * MIB, has_controllers=False)
    config = render_config(setup(Resources(cpus=3000, mem=4_000_000), machine))
    assert (config["cgroupsPerQOS"], config["enforceNodeAllocatable"]) == (False, [])


def test_the_command_line() -> None:
    argv = command(
        Path("/k"),
        config_file=Path("/s/c.json"),
        kubeconfig=Path("/e/k"),
        root_dir=Path("/r"),
        node_name="h1",
        node_ip="10.0.0.1",
        labels={"k8s.mesosphere.io/attribute-rack": "b", "k8s.mesosphere.io/attribute-a": "1"},
        extra_args=("--v=2",),
    )
    assert argv == [
        "/k",
        "--config=/s/c.json",
        "--kubeconfig=/e/k",
        "--root-dir=/r",
        "--hostname-override=h1",
        "--node-ip=10.0.0.1",
        "--node-labels=k8s.mesosphere.io/attribute-a=1,k8s.mesosphere.io/attribute-rack=b",
        "--v=2",
    ]


A, B, C = (f"k8s.mesosphere.io/attribute-{name}" for name in "abc")


def test_labels_of_a_node_without_pods_become_those_of_the_agent() -> None:
    existing = {A: "1", B: "2", "other": "x"}
    assert settle_labels({A: "1", C: "3"}, existing, has_pods=False) == ({A: "1", C: "3"}, {C: "3", B: None})


def test_labels_that_bound_pods_may_need_stay_and_new_ones_come() -> None:
    existing = {A: "1", B: "2"}
    assert settle_labels({A: "9", C: "3"}, existing, has_pods=True) == ({A: "1", B: "2", C: "3"}, {C: "3"})
