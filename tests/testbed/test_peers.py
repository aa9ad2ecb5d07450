"""What makes a bare host a master or an agent, and the control plane's command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import controlplane, hosts, peers
from testbed.errors import LabError, UsageError
from testbed.probe import Machine
from testbed.settings import from_environment, names

SETTINGS = from_environment({"KM_TESTBED_AGENT_FLAGS": "MESOS_CPUS=1 MESOS_X=y", "KM_TESTBED_NODE_GRACE_S": "8"})
POOR = Machine(Path("/sys/fs/cgroup/unified"), frozenset({"hugetlb"}))
RICH = Machine(Path("/sys/fs/cgroup"), frozenset({"cpu", "memory", "pids"}))
DISK, MESOS = Path("/c/disk"), Path("/c/mesos")


def flags(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def agent(machine: Machine) -> hosts.Host:
    return peers.agent_host(SETTINGS, machine, "h3", names("m", 3), DISK, MESOS)


def test_an_agent_knows_its_masters_its_resources_and_its_rack() -> None:
    found = flags(agent(RICH).files["etc/mesos/agent"][0])
    assert found["TESTBED_MASTER"] == "zk://10.88.0.21:2181,10.88.0.22:2181,10.88.0.23:2181/mesos"
    assert found["MESOS_RESOURCES"] == "cpus:2;mem:4096;disk:10000;ports:[31000-32000]"
    assert (found["MESOS_HOSTNAME"], found["MESOS_ATTRIBUTES"]) == ("h3", "rack:r2")
    assert (found["MESOS_CPUS"], found["MESOS_X"]) == ("1", "y")


def test_executors_outlive_the_agent_which_gets_neither_containerd_nor_kubelet() -> None:
    host = agent(POOR)
    unit, _ = host.files["etc/systemd/system/mesos-agent.service"]
    assert "KillMode=process" in unit
    assert not [path for path in host.files if "containerd" in path or "kubelet" in path or "cni" in path]


def test_runc_is_wrapped_only_where_limits_lack() -> None:
    wrapper = "usr/local/sbin/runc-nolimits"
    assert agent(POOR).files[wrapper][1] == 0o755
    assert wrapper not in agent(RICH).files


@pytest.mark.parametrize(("count", "quorum"), [(1, "1"), (3, "2"), (5, "3")])
def test_masters_form_a_quorum(count: int, quorum: str) -> None:
    masters = names("m", count)
    host = peers.master_host(SETTINGS, masters[-1], masters, DISK, MESOS)
    assert flags(host.files["etc/mesos/master"][0])["MESOS_QUORUM"] == quorum
    assert host.files["etc/mesos/myid"][0] == f"{count}\n"
    members = [line for line in host.files["etc/mesos/zoo.cfg"][0].splitlines() if line.startswith("server.")]
    assert len(members) == (count if count > 1 else 0)


def test_every_unit_that_is_enabled_is_there() -> None:
    masters = names("m", 1)
    for host in (agent(POOR), peers.master_host(SETTINGS, "m1", masters, DISK, MESOS)):
        assert host.links
        assert {target.lstrip("/") for target in host.links.values()} <= set(host.files)


def test_a_scheduler_host_is_bare() -> None:
    host = peers.scheduler_host("s1", DISK)
    assert (host.files, host.links, host.binds) == ({}, {}, ())


def test_hosts_know_each_other() -> None:
    lines = hosts.hosts_file(SETTINGS).splitlines()
    assert {"10.88.0.11 s1", "10.88.0.21 m1", "10.88.0.31 h1", "10.88.0.130 h100"} <= set(lines)


def test_a_host_is_made_once_with_private_files_private(tmp_path: Path) -> None:
    settings = from_environment({"KM_TESTBED_DIR": str(tmp_path)})
    settings.key.parent.mkdir(parents=True)
    for name in ("key.pub", "host", "host.pub"):
        (settings.key.parent / name).write_text(f"{name}\n")
    half = tmp_path / "km/h3/upper/left-by-a-killed-up"
    half.mkdir(parents=True)
    hosts.make(settings, agent(POOR))
    assert not half.exists()
    upper = tmp_path / "km/h3/upper"
    assert (upper / "root/.ssh/authorized_keys").read_text() == "key.pub\n"
    modes = {
        path: (upper / path).stat().st_mode & 0o777 for path in ("root", "root/.ssh", "etc/ssh/ssh_host_ed25519_key")
    }
    assert modes == {"root": 0o700, "root/.ssh": 0o700, "etc/ssh/ssh_host_ed25519_key": 0o600}
    (upper / "etc/hostname").write_text("kept\n")
    hosts.make(settings, agent(POOR))
    assert (upper / "etc/hostname").read_text() == "kept\n"
    assert hosts.known(settings) == ["h3"]
    with pytest.raises(LabError, match=r"h9: no such host in testbed 'km' \(there are: h3\)"):
        hosts.start(settings, POOR, "h9")


def test_control_plane_command_lines() -> None:
    server = controlplane.command(SETTINGS, Path("/b"), "kube-apiserver")
    assert server[0] == "/b/kube-apiserver"
    assert {"--bind-address=10.88.0.1", "--authorization-mode=Node,RBAC"} <= set(server)
    assert "--enable-admission-plugins=NodeRestriction" in server
    manager = controlplane.command(SETTINGS, Path("/b"), "kube-controller-manager")
    assert "--node-monitor-grace-period=8s" in manager
    with pytest.raises(UsageError, match="no such part of the control plane: 'kubelet'"):
        controlplane.command(SETTINGS, Path("/b"), "kubelet")
