"""What is found on made-up machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import probe
from testbed.errors import LabError


def machine(root: Path, place: str, controllers: str) -> probe.Machine:
    (root / place).mkdir(parents=True)
    (root / place / "cgroup.controllers").write_text(controllers + "\n")
    return probe.machine(root)


def test_a_plain_debian_gets_no_wrappers(tmp_path: Path) -> None:
    found = machine(tmp_path, "sys/fs/cgroup", "cpuset cpu io memory hugetlb pids rdma misc")
    assert found.cgroups == tmp_path / "sys/fs/cgroup"
    assert found.has_limits
    assert probe.kubelet_flags(found) == {}
    assert probe.runc_binary(found) is None


def test_a_hybrid_machine_without_controllers_gets_them(tmp_path: Path) -> None:
    found = machine(tmp_path, "sys/fs/cgroup/unified", "hugetlb")
    assert found.cgroups == tmp_path / "sys/fs/cgroup/unified"
    assert probe.kubelet_flags(found) == {"cgroups-per-qos": "false", "enforce-node-allocatable": ""}
    assert probe.runc_binary(found) == "/usr/local/sbin/runc-nolimits"


@pytest.mark.parametrize("lacking", ["cpu", "memory", "pids"])
def test_one_missing_controller_is_enough(tmp_path: Path, lacking: str) -> None:
    have = " ".join({"cpu", "memory", "pids", "io"} - {lacking})
    assert not machine(tmp_path, "sys/fs/cgroup", have).has_limits


def test_a_machine_without_cgroup_v2_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no cgroup v2"):
        probe.machine(tmp_path)
