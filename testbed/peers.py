"""What makes a bare host a Mesos master, a Mesos agent or a scheduler host: files, units, flags.

Knows Mesos' and ZooKeeper's settings; nothing of booting. Agents get no containerd and no kubelet: those are Ansible's.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed import network
from testbed.errors import LabError
from testbed.hosts import Host
from testbed.probe import DROP_LIMITS, RUNC_NOLIMITS, Machine
from testbed.settings import DATA, MESOS_AGENT_PORT, MESOS_MASTER_PORT, ZOOKEEPER_PORT, Settings, number_of

#: no more than the machine has: kubelet refuses to promise more
RESOURCES = "cpus:2;mem:4096;disk:10000;ports:[31000-32000]"
ZOOKEEPER_SESSION = "4secs"
HOSTS_PER_RACK = 2
ANSWER_S = 2.0
UNITS = "etc/systemd/system"


def zookeeper(settings: Settings, masters: Sequence[str]) -> str:
    """zk:// URL of the masters."""
    servers = ",".join(f"{settings.address(name)}:{ZOOKEEPER_PORT}" for name in masters)
    return f"zk://{servers}/mesos"


def master_urls(settings: Settings, masters: Sequence[str]) -> str:
    """The masters' HTTP addresses, separated by commas."""
    return ",".join(f"http://{settings.address(name)}:{MESOS_MASTER_PORT}" for name in masters)


def scheduler_host(name: str, disk: Path) -> Host:
    return Host(name, disk)


def master_host(settings: Settings, name: str, masters: Sequence[str], disk: Path, mesos: Path) -> Host:
    flags = {
        **_common(settings, name, MESOS_MASTER_PORT),
        "MESOS_NUM_SLAVES": "0",
        "MESOS_ZK": zookeeper(settings, masters),
        "MESOS_QUORUM": str(len(masters) // 2 + 1),
        "MESOS_WORK_DIR": "/data/mesos-master",
        "MESOS_RUNTIME_DIR": "/run/mesos-master",
        "MESOS_ALLOCATION_INTERVAL": settings.allocation_interval,
        # a lost agent is noticed within seconds
        "MESOS_AGENT_PING_TIMEOUT": "1secs",
        "MESOS_MAX_AGENT_PING_TIMEOUTS": "3",
    }
    files = {
        "etc/mesos/master": (_lines(flags, settings.master_flags), 0o644),
        "etc/mesos/myid": (f"{number_of(name)}\n", 0o644),
        "etc/mesos/zoo.cfg": (_zoo_cfg(settings, masters), 0o644),
    }
    return _with_units(Host(name, disk, (f"{mesos}:/opt/mesos",), files=files), ("zookeeper", "mesos-master"))


def agent_host(
    settings: Settings, machine: Machine, name: str, masters: Sequence[str], disk: Path, mesos: Path
) -> Host:
    flags = {
        **_common(settings, name, MESOS_AGENT_PORT),
        "TESTBED_MASTER": zookeeper(settings, masters),
        "MESOS_NUM_SLAVES": "1",
        "MESOS_WORK_DIR": "/data/mesos-agent",
        "MESOS_RUNTIME_DIR": "/run/mesos",
        "MESOS_LAUNCHER_DIR": "/opt/mesos",
        "MESOS_LAUNCHER": "posix",
        "MESOS_ISOLATION": "posix/cpu,posix/mem",
        "MESOS_SYSTEMD_ENABLE_SUPPORT": "false",
        "MESOS_REGISTRATION_BACKOFF_FACTOR": "200ms",
        "MESOS_RESOURCES": RESOURCES,
        "MESOS_ATTRIBUTES": f"rack:r{(number_of(name) - 1) // HOSTS_PER_RACK + 1}",
    }
    script = "usr/local/lib/testbed-kernel.sh"
    files = {
        "etc/mesos/agent": (_lines(flags, settings.agent_flags), 0o644),
        script: ((DATA / "host/testbed-kernel.sh").read_text(), 0o755),
    }
    if not machine.has_limits:
        files[RUNC_NOLIMITS.lstrip("/")] = ((DATA / "host/runc-nolimits.sh").read_text(), 0o755)
        files[DROP_LIMITS.lstrip("/")] = ((DATA / "host/drop-limits.pl").read_text(), 0o644)
    host = Host(name, disk, (f"{mesos}:/opt/mesos",), ("data", "containerd", "kubelet"), files)
    host = _with_units(host, ("mesos-agent",))
    return _with_units(host, ("testbed-kernel",), "sysinit.target")


def _common(settings: Settings, name: str, port: int) -> dict[str, str]:
    return {
        "LD_LIBRARY_PATH": "/opt/mesos/lib",
        "LIBPROCESS_IP": settings.address(name),
        "LIBPROCESS_PORT": str(port),
        "MESOS_HOSTNAME": name,
        "MESOS_ZK_SESSION_TIMEOUT": ZOOKEEPER_SESSION,
    }


def _lines(flags: dict[str, str], more: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in [*(f"{name}={value}" for name, value in flags.items()), *more])


def _zoo_cfg(settings: Settings, masters: Sequence[str]) -> str:
    lines = [
        "tickTime=500",
        "initLimit=10",
        "syncLimit=4",
        "dataDir=/data/zookeeper",
        f"clientPort={ZOOKEEPER_PORT}",
        "admin.enableServer=false",
        "4lw.commands.whitelist=*",
        "quorumListenOnAllIPs=true",
    ]
    if len(masters) > 1:
        lines += [f"server.{number_of(name)}={settings.address(name)}:2888:3888" for name in masters]
    return "\n".join([*lines, ""])


def _with_units(host: Host, units: Sequence[str], target: str = "multi-user.target") -> Host:
    files = {f"{UNITS}/{unit}.service": ((DATA / f"host/{unit}.service").read_text(), 0o644) for unit in units}
    links = {f"{UNITS}/{target}.wants/{unit}.service": f"/{UNITS}/{unit}.service" for unit in units}
    return Host(host.name, host.disk, host.binds, host.folders, {**host.files, **files}, {**host.links, **links})


def active_agents(settings: Settings, masters: Sequence[str]) -> list[str]:
    """Host names of the agents that are registered and active, by the first master that knows."""
    for name in masters:
        answer = _get(settings, f"http://{settings.address(name)}:{MESOS_MASTER_PORT}/slaves")
        if answer is not None:
            return sorted(agent["hostname"] for agent in answer.get("slaves", []) if agent["active"])
    return []


def leading_master(settings: Settings, masters: Sequence[str]) -> str | None:
    """Name of the master that leads; None if nobody says."""
    for name in masters:
        answer = _get(settings, f"http://{settings.address(name)}:{MESOS_MASTER_PORT}/state")
        if answer and (leader := answer.get("leader_info", {}).get("hostname")):
            return str(leader)
    return None


def _get(settings: Settings, url: str) -> dict[str, Any] | None:
    def ask() -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                found = json.load(answer)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    try:
        return network.inside(settings, ask)
    except LabError:
        return None
