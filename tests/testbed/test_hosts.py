"""Processes of hosts as the machine sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import hosts
from testbed.errors import LabError
from testbed.probe import Machine
from testbed.settings import from_environment


def test_a_process_of_a_host_is_found_by_its_pid_there(tmp_path: Path) -> None:
    group, proc = tmp_path / "groups/km/s1/inner", tmp_path / "proc"
    group.mkdir(parents=True)
    group.joinpath("cgroup.procs").write_text("501\n502\n503\n504\n")
    # 503 is of a container in the host, 504 has ended
    for pid, numbers in {"self": "40", "501": "501\t1", "502": "502\t77", "503": "503\t90\t77"}.items():
        (proc / pid).mkdir(parents=True)
        (proc / pid / "status").write_text(f"Name:\tkm\nNSpid:\t{numbers}\n")
    machine, settings = Machine(tmp_path / "groups", frozenset()), from_environment({})
    assert hosts.pid_outside(settings, machine, "s1", 77, proc) == 502
    assert hosts.pid_outside(settings, machine, "s1", 1, proc) == 501
    with pytest.raises(LabError, match="s1: no process has pid 90 there"):
        hosts.pid_outside(settings, machine, "s1", 90, proc)
