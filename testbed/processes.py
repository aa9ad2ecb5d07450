"""Processes that the testbed starts and ends: commands, pid files with start times, locks.

Knows nothing of what the processes are. A pid alone never proves anything: it is signalled only while its start time
is the one that was noted, so a foreign process that got the number later is safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError

PROC = Path("/proc")
POLL_S = 0.05
LOCK_WAIT_S = 120.0
COMMAND_TIMEOUT_S = 600.0
#: for Go programs of the testbed: memory is plenty, and processors are few
GO_GARBAGE = {"GOGC": "400"}
ERROR_TAIL_LINES = 12
#: in front of a command: it is killed when this process ends, however that comes
TIED = ("setpriv", "--pdeathsig", "KILL")


@dataclass(frozen=True, slots=True)
class Noted:
    """A process as it was when it was started: pid and start time (clock ticks since boot)."""

    pid: int
    born: int


def _stat(pid: int, proc: Path) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None if it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except (OSError, ValueError):
        return None
    # the name between parentheses may itself hold spaces and parentheses
    fields = text[text.rfind(")") + 2 :].split()
    return fields if len(fields) >= 20 else None


def is_stopped(pid: int, proc: Path = PROC) -> bool:
    """Whether SIGSTOP holds it."""
    fields = _stat(pid, proc)
    return fields is not None and fields[0] == "T"


def born(pid: int, proc: Path = PROC) -> int | None:
    """Start time of `pid` in clock ticks since boot; None if it is gone or only waits to be reaped."""
    if (fields := _stat(pid, proc)) is None:
        return None
    state, threads, start = fields[0], int(fields[17]), int(fields[19])
    # a zombie leader whose threads live on still holds its ports
    return None if state in "ZX" and threads <= 1 else start


def note(file: Path, pid: int, proc: Path = PROC) -> Noted:
    """Writes the pid file of a process that was just started.

    Raises:
        LabError: it has ended already.
    """
    start = born(pid, proc)
    if start is None:
        raise LabError(f"the process for {file} (pid {pid}) ended at once; see the log beside it")
    scratch = file.with_suffix(".new")
    scratch.write_text(f"{pid} {start}\n")
    scratch.replace(file)
    return Noted(pid, start)


def noted(file: Path, proc: Path = PROC) -> Noted | None:
    """What the pid file names, if that very process still runs; a damaged or missing file names nothing."""
    try:
        words = file.read_text().split()
    except OSError:
        return None
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    found = Noted(int(words[0]), int(words[1]))
    return found if born(found.pid, proc) == found.born else None


def end(file: Path, number: signal.Signals, patience_s: float) -> None:
    """Signals the noted process, waits, ends it with SIGKILL after `patience_s`, and removes the pid file."""
    found = noted(file)
    if found is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if not wait_until(lambda: noted(file) is None, patience_s):
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
            if not wait_until(lambda: noted(file) is None, patience_s):
                raise LabError(f"pid {found.pid} (from {file}) survives SIGKILL")
    file.unlink(missing_ok=True)


def wait_until(holds: Callable[[], bool], limit_s: float, poll_s: float = POLL_S) -> bool:
    """Asks `holds` until it says yes (True) or `limit_s` seconds have passed (False)."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def output(
    command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S, environ: Mapping[str, str] | None = None
) -> str:
    """Standard output of a command that must succeed; it gets no standard input.

    Raises:
        LabError: it cannot be started, fails, or takes longer than `timeout_s`; with the last lines it wrote.
    """
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=environ,
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]}: no such program; run: python3 -m testbed install") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)}: not done after {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit code {done.returncode}\n{tail(done.stderr or done.stdout)}")
    return done.stdout


def succeeds(command: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> bool:
    """Whether the command ends with 0; its output is dropped."""
    try:
        output(command, timeout_s)
    except LabError:
        return False
    return True


def spawn(command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> int:
    """Starts a process in a session of its own that outlives this one; returns its pid."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # a lock that a shell holds around us (flock FILE COMMAND) would be held for as long as the process lives
    inherited = [fd for each in Path("/proc/self/fd").iterdir() if (fd := int(each.name)) > 2 and _is_inheritable(fd)]
    return os.posix_spawnp(
        command[0],
        list(command),
        dict(os.environ if environ is None else environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in inherited),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],  # Python ignores it, programs do not expect that
    )


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # that of the listing, closed by now
        return False


def tail(text: str, lines: int = ERROR_TAIL_LINES) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


@contextlib.contextmanager
def locked(file: Path, what: str, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Holds the lock on `file`; at most one process does.

    Raises:
        LabError: another one holds it for longer than `wait_s`; the message has its pid.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as handle:

        def taken() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not taken():
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            print(f"waiting for {what} (held by pid {holder})", flush=True)
            if not wait_until(taken, wait_s, 0.2):
                raise LabError(f"{what}: pid {holder} has held {file} for {wait_s:.0f} s; end it, or wait for it")
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
