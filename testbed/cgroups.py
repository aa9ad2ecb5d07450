"""The testbed's control groups: one tree named after it, a group for each host and two for what runs beside them.

Everything that the testbed starts lives in this tree, so ending the tree ends it all, pid files or not.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from testbed.errors import LabError
from testbed.probe import Machine
from testbed.processes import PROC, wait_until
from testbed.settings import Settings

SUPERVISORS, CONTROL = "supervisors", "control"
END_S = 20.0


def top(machine: Machine, settings: Settings) -> Path:
    return machine.cgroups / settings.name


def of(machine: Machine, settings: Settings, member: str) -> Path:
    return top(machine, settings) / member


def make(machine: Machine, settings: Settings, member: str) -> Path:
    """The group of a host, SUPERVISORS or CONTROL, handed every controller that the machine has."""
    group = of(machine, settings, member)
    group.mkdir(parents=True, exist_ok=True)
    for parent in (machine.cgroups, group.parent):
        for controller in sorted(machine.controllers):
            # one that is refused here is missed by probe.machine's rule, or not wanted by anybody
            with contextlib.suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    return group


def into(group: Path, command: list[str]) -> list[str]:
    """The command, started as a member of the group under the pid that spawn() returns."""
    return ["sh", "-c", f'echo $$ >"{group}/cgroup.procs" && exec "$@"', "sh", *command]


def pids(group: Path) -> list[int]:
    """Processes in the group and below it."""
    found: list[int] = []
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found += [int(line) for line in (Path(folder) / "cgroup.procs").read_text().split()]
    return found


def first_process(group: Path, proc: Path = PROC) -> int | None:
    """Pid, as seen from here, of the process that is number 1 in its own pid namespace: the host's systemd."""
    for pid in pids(group):
        try:
            lines = (proc / str(pid) / "status").read_text().splitlines()
        except OSError:
            continue
        numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
        if len(numbers) >= 2 and numbers[-1] == "1" and _outermost(numbers, proc):
            return pid
    return None


def _outermost(numbers: list[str], proc: Path) -> bool:
    """Containers in the host have a number 1 of their own, one pid namespace deeper than the host's."""
    own = next(line for line in (proc / "self/status").read_text().splitlines() if line.startswith("NSpid:"))
    return len(numbers) == len(own.split()[1:]) + 1


def end(group: Path) -> None:
    """Kills everything in the group and below, waits until it is gone, removes the groups.

    Raises:
        LabError: something survives SIGKILL for END_S.
    """
    if not group.is_dir():
        return
    (group / "cgroup.kill").write_text("1")

    def gone() -> bool:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(FileNotFoundError, OSError):
                Path(folder).rmdir()
        return not group.exists()

    if not wait_until(gone, END_S):
        raise LabError(f"{group}: still in use by pids {pids(group)} {END_S:.0f} s after SIGKILL")
