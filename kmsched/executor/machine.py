"""What the executor reads from its machine: capacity as kubelet counts it, a free port, last time's allocatable.

Knows files of the kernel and one file of its own in kubelet's folder.  It decides nothing.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

from kmsched.core.resources import Resources
from kmsched.errors import ConfigRefused
from kmsched.executor.kubelet_config import Machine

#: in kubelet's root folder: what the Node had for pods when kubelet was started last
REMEMBERED = "kmsched-allocatable.json"
CONTROLLERS = frozenset({"cpu", "memory", "pids"})


def read_machine(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """ConfigRefused when the kernel's files are not what every Linux has."""
    meminfo = proc / "meminfo"
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        memory_bytes = int(lines["MemTotal"].split()[0]) * 1024
        cores = sum(line.startswith("processor") for line in (proc / "cpuinfo").read_text().splitlines())
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise ConfigRefused(f"cannot read the machine's memory and cores under {proc}: {error!r}") from error
    return Machine(cpu_cores=cores, memory_bytes=memory_bytes, has_controllers=_has_controllers(cgroup))


def _has_controllers(cgroup: Path) -> bool:
    try:
        return set((cgroup / "cgroup.controllers").read_text().split()) >= CONTROLLERS
    except OSError:  # cgroup v1: a folder for each
        return all((cgroup / name).is_dir() for name in CONTROLLERS)


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def remember_allocatable(root_dir: Path, allocatable: Resources) -> None:
    """Atomic; ConfigRefused when the folder does not let us."""
    path = root_dir / REMEMBERED
    fresh = path.with_suffix(".tmp")
    try:
        fresh.write_text(json.dumps({"schema": 1, "cpus_milli": allocatable.cpus, "mem_milli_mib": allocatable.mem}))
        fresh.replace(path)
    except OSError as error:
        raise ConfigRefused(f"cannot write {path}: {error.strerror}; the executor must run as root") from error


def remembered_allocatable(root_dir: Path) -> Resources | None:
    """None: nothing (readable) was remembered."""
    try:
        found = json.loads((root_dir / REMEMBERED).read_text())
        return Resources(cpus=int(found["cpus_milli"]), mem=int(found["mem_milli_mib"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
