"""Systemd hosts: systemd-nspawn on an overlay over a disk of the build cache, in a network namespace of its own.

Knows how a host is made, booted, cut off power and entered; nothing of what it is for. A host's own files lie below
STATE/NAME and outlive its reboots and power cuts.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed import cgroups, network, processes
from testbed.errors import LabError
from testbed.probe import Machine
from testbed.settings import ADDRESSES, DATA, Settings, names

BOOT_S = 60.0
STOP_S = 30.0
KILL_S = 20.0
STATE_POLL_S = 0.1
#: real file systems below the host's overlay: containerd and databases dislike an overlay under them
DATA_FOLDERS = {"data": "/data", "containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet"}
SHOWN_HOSTS = {"s": 5, "m": 5, "h": ADDRESSES["h"][1]}
ENTER = ("nsenter", "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIGRTMIN_POWEROFF = signal.SIGRTMIN + 4
BOOTED = ("running", "degraded")


@dataclass(frozen=True, slots=True)
class Host:
    """What a host is made of. `files`: path below / -> (text, mode); `links`: path below / -> target."""

    name: str
    disk: Path
    binds: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("data",)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def folder(settings: Settings, name: str) -> Path:
    return settings.state / name


def supervisor(settings: Settings, name: str) -> Path:
    return folder(settings, name) / "supervisor.pid"


def known(settings: Settings) -> list[str]:
    """Hosts that were made whole, in order."""
    found = [path.parent.name for path in settings.state.glob("*/host.json")]
    return sorted(found, key=lambda name: ("smh".index(name[0]), int(name[1:])))


def is_on(settings: Settings, name: str) -> bool:
    return processes.noted(supervisor(settings, name)) is not None


def hosts_file(settings: Settings) -> str:
    """/etc/hosts of every host: all that the address plan may ever hold, so hosts can be added later."""
    lines = ["127.0.0.1 localhost"]
    for kind, count in SHOWN_HOSTS.items():
        lines += [f"{settings.address(name)} {name}" for name in names(kind, count)]
    return "\n".join([*lines, f"{settings.gateway} lab", ""])


def make(settings: Settings, host: Host) -> None:
    """Makes the host's disk, if it has none; what an interrupted call left is made anew."""
    place = folder(settings, host.name)
    if (place / "host.json").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    upper = place / "upper"
    for path in ("work", "root", *(f"fs/{name}" for name in host.folders)):
        (place / path).mkdir(parents=True)
    key = settings.key.parent
    files = {
        "etc/hostname": (f"{host.name}\n", 0o644),
        "etc/hosts": (hosts_file(settings), 0o644),
        "root/.ssh/authorized_keys": (settings.key.with_suffix(".pub").read_text(), 0o600),
        "etc/ssh/ssh_host_ed25519_key": ((key / "host").read_text(), 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": ((key / "host.pub").read_text(), 0o644),
        **host.files,
    }
    for path, (text, mode) in files.items():
        target = upper / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
    for path, aim in host.links.items():
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).symlink_to(aim)
    for private in ("root", "root/.ssh"):  # the upper folder's mode hides that of the disk below
        (upper / private).chmod(0o700)
    record = {**asdict(host), "disk": str(host.disk), "files": sorted(files), "links": sorted(host.links)}
    scratch = place / "host.new"
    scratch.write_text(json.dumps(record))
    scratch.replace(place / "host.json")


def start(settings: Settings, machine: Machine, name: str) -> None:
    """Boots the host on its disk and returns at once.

    Raises:
        LabError: there is no such host, or what it is made of has gone from the build cache.
    """
    if is_on(settings, name):
        return
    record = _record(settings, name)
    place, disk = folder(settings, name), Path(record["disk"])
    if not disk.is_dir():
        raise LabError(f"{name}: its disk {disk} is gone from the build cache; run: python3 -m testbed down, then up")
    network.connect(settings, name)
    cgroups.end(cgroups.of(machine, settings, name))
    cgroups.make(machine, settings, name)
    loops = cgroups.make(machine, settings, cgroups.SUPERVISORS)
    binds = [f"--bind={place / 'fs' / kept}:{DATA_FOLDERS[kept]}" for kept in record["folders"]]
    binds += [f"--bind-ro={bind}" for bind in record["binds"]]
    environ = {
        "PATH": HOST_PATH,
        "LC_ALL": "C.UTF-8",
        "CGROUP": f"{settings.name}/{name}",
        "DISK": str(disk),
        "UPPER": str(place / "upper"),
        "WORK": str(place / "work"),
        "ROOT": str(place / "root"),
        "NETNS": str(network.NETNS / network.of_host(settings, name)),
        "MACHINE": f"{settings.name}-{name}",
        "HOST": name,
        "BINDS": " ".join(binds),
        "GOGC": processes.GO_GARBAGE["GOGC"],
    }
    boot = ["unshare", "-m", "--propagation", "private", "sh", str(DATA / "host/start.sh")]
    pid = processes.spawn(cgroups.into(loops, boot), place / "console.log", environ)
    processes.note(supervisor(settings, name), pid)


def _record(settings: Settings, name: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder(settings, name) / "host.json").read_text())
    except FileNotFoundError:
        have = ", ".join(known(settings)) or "none"
        raise LabError(f"{name}: no such host in testbed {settings.name!r} (there are: {have})") from None
    return record


def kill(settings: Settings, machine: Machine, name: str) -> None:
    """Power cut: everything in the host is gone at once."""
    _record(settings, name)
    cgroups.end(cgroups.of(machine, settings, name))
    processes.end(supervisor(settings, name), signal.SIGTERM, KILL_S)


def stop(settings: Settings, machine: Machine, name: str) -> None:
    """Clean shutdown; a power cut if that takes longer than STOP_S."""
    _record(settings, name)
    if (first := cgroups.first_process(cgroups.of(machine, settings, name))) is not None:
        os.kill(first, SIGRTMIN_POWEROFF)
        processes.wait_until(lambda: not is_on(settings, name), STOP_S)
    kill(settings, machine, name)


def enter(settings: Settings, machine: Machine, name: str, command: list[str]) -> list[str]:
    """The command line that runs `command` as root inside the host, without ssh.

    Raises:
        LabError: the host is off.
    """
    first = cgroups.first_process(cgroups.of(machine, settings, name))
    if first is None:
        raise LabError(f"{name} is off; run: python3 -m testbed start {name}")
    head, *rest = ENTER
    return [head, "-t", str(first), *rest, "env", "-i", f"PATH={HOST_PATH}", "HOME=/root", *command]


def wait_booted(settings: Settings, machine: Machine, name: str) -> None:
    """Until ssh listens and systemd has ended its start-up.

    Raises:
        LabError: the host ends, or is not there after BOOT_S; with the end of its console.
    """
    state = ""

    def booted() -> bool:
        nonlocal state
        if not is_on(settings, name):
            raise LabError(f"{name} ended while it booted:\n{_console(settings, name)}")
        if not network.inside(settings, lambda: _listens(settings.address(name), 22)):
            return False
        command = enter(settings, machine, name, ["systemctl", "is-system-running"])
        state = subprocess.run(command, check=False, capture_output=True, text=True, timeout=BOOT_S).stdout.strip()
        return state in BOOTED

    if not processes.wait_until(booted, BOOT_S, STATE_POLL_S):
        raise LabError(
            f"{name}: not up after {BOOT_S:.0f} s (systemd: {state or 'no answer'}):\n{_console(settings, name)}"
        )
    if state != "running":
        print(f"{name}: {state}; look at: python3 -m testbed run {name} systemctl --failed", flush=True)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _console(settings: Settings, name: str) -> str:
    log = folder(settings, name) / "console.log"
    return processes.tail(log.read_text(errors="replace")) if log.exists() else "(no console)"


def pid_outside(settings: Settings, machine: Machine, name: str, inner: int, proc: Path = processes.PROC) -> int:
    """Pid, as seen from here, of the process that has the pid `inner` in the host.

    Raises:
        LabError: there is none.
    """
    own = len(_numbers(proc / "self/status"))
    for pid in cgroups.pids(cgroups.of(machine, settings, name)):
        numbers = _numbers(proc / str(pid) / "status")
        # containers in the host have pids of their own, one namespace deeper
        if len(numbers) == own + 1 and numbers[-1] == str(inner):
            return pid
    raise LabError(f"{name}: no process has pid {inner} there")


def _numbers(status: Path) -> list[str]:
    """The pid in each namespace, from the outermost seen from here; none if the process has ended."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return []
    return next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
