"""A child process: started, looked after, started again, ended.

Knows processes, signals, pauses between starts and the log's size.  It does not know which program it is, nor what
its health means to anybody: that is `executor.kubelet`'s and `executor.proxy`'s.

The child stays in this process's session, since Mesos ends executors by session; it gets SIGKILL when this process
dies, whatever way; and it inherits the lock, so that nobody starts another one before it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kmsched.clients.backoff import Backoff
from kmsched.clients.http import Request, Transport, within
from kmsched.clock import Clock
from kmsched.errors import Unavailable

RESTART_FIRST_S = 1.0
RESTART_MAX_S = 30.0
#: one that was healthy for so long is started again after the shortest pause
HEALTHY_RESET_S = 60.0
#: failing so often before it was ever healthy is no accident: its flags or its host are wrong (some 90 s)
MAX_FAILED_STARTS = 8
POLL_S = 1.0
PROBE_DEADLINE_S = 2.0
#: misses in a row before a healthy one is called unhealthy
MAX_MISSES = 3
TERM_WAIT_S = 10.0
LOG_BYTES = 10 * 1024 * 1024
LOG_TAIL_BYTES = 400
_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, and its name for people; `lock_fd` is inherited.

    stdout and stderr go to `log_file`, of which one old copy is kept.
    """

    name: str
    argv: tuple[str, ...]
    log_file: Path
    lock_fd: int


@dataclass(frozen=True, slots=True)
class Healthy:
    pass


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """It does not answer its health check, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It will be started again after a pause."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hopeless:
    """It cannot be run, or never gets healthy: it will not be started again."""

    reason: str


News = Healthy | Unhealthy | Ended | Hopeless
#: "" when it is healthy, else why it is held not to be
Probe = Callable[[], Awaitable[str]]


def healthz(name: str, transport: Transport, address: str) -> Probe:
    """Ask it itself, at host:port."""

    async def probe() -> str:
        try:
            reply = await transport.call(Request("GET", f"http://{address}/healthz"), deadline_s=PROBE_DEADLINE_S)
        except Unavailable as error:
            return f"{name} does not answer its health check: {error}"
        return "" if reply.status == 200 else f"{name}'s health check says {reply.status}: {reply.text(200)}"

    return probe


class Child:
    """`run` it as a task, `stop` it once; `tell` takes its news."""

    def __init__(
        self, command: Command, *, clock: Clock, rng: Random, probe: Probe, tell: Callable[[News], None]
    ) -> None:
        self._command = command
        self._clock = clock
        self._backoff = Backoff(RESTART_FIRST_S, RESTART_MAX_S, rng)
        self._probe = probe
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._skip_pause = False
        self._failed_starts: int | None = 0  # None: it has been healthy once

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> None:
        """One life after the other, until stopped or refused."""
        while not self._is_stopping:
            if not await self._one_life():
                return

    async def restart(self) -> None:
        """End it, without a pause before the next start."""
        self._skip_pause = True
        await self._end()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns when it is gone."""
        self._is_stopping = True
        await self._end()

    async def _one_life(self) -> bool:
        """False: there is no point in another one."""
        try:
            self._process = process = await self._spawn()
        except OSError as error:
            self._tell(Hopeless(f"cannot run {self._command.argv[0]}: {error.strerror or error}"))
            return False
        if self._is_stopping:  # while it was being started
            await self._end()
        healthy_s = await self._watch(process)
        if self._is_stopping:
            return False
        reason = f"{self._command.name} ended ({_ending(process.returncode)}): {tail(self._command.log_file)}"
        log.warning("%s", reason)
        return await self._pause(reason, healthy_s)

    async def _pause(self, reason: str, healthy_s: float) -> bool:
        if self._failed_starts is not None and not self._skip_pause:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                words = (
                    f"{self._command.name} ended {self._failed_starts} times and was never healthy; at last: {reason}"
                )
                self._tell(Hopeless(words))
                return False
        self._tell(Ended(reason))
        if healthy_s >= HEALTHY_RESET_S:
            self._backoff.reset()
        if self._skip_pause:
            self._skip_pause = False
        else:
            await self._clock.sleep(self._backoff.next_s())
        return True

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self._command.log_file.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self._command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(self._command.lock_fd,),
                preexec_fn=_dies_with(os.getpid()),
            )
        log.info("%s started pid=%s", self._command.name, process.pid)
        return process

    async def _watch(self, process: asyncio.subprocess.Process) -> float:
        """Probe it until it ends; for how many seconds it was healthy at last."""
        since_s: float | None = None
        misses = 0
        while not await self._ended_within(process, POLL_S):
            trim(self._command.log_file, LOG_BYTES)
            trouble = await self._probe()
            if not trouble:
                misses, self._failed_starts = 0, None
                if since_s is None:
                    since_s = self._clock.monotonic()
                    self._tell(Healthy())
                continue
            misses += 1
            if since_s is None or misses >= MAX_MISSES:
                since_s = None
                self._tell(Unhealthy(trouble))
        return 0.0 if since_s is None else self._clock.monotonic() - since_s

    async def _ended_within(self, process: asyncio.subprocess.Process, seconds: float) -> bool:
        try:
            await within(self._clock, seconds, process.wait(), "")
        except Unavailable:
            return False
        return True

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        # it may end by itself just before either signal
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            if not await self._ended_within(process, TERM_WAIT_S):
                log.warning("%s did not end on SIGTERM within %g s: SIGKILL", self._command.name, TERM_WAIT_S)
                process.kill()
        await process.wait()


def _dies_with(parent: int) -> Callable[[], None]:
    """What the child does before exec: ask for SIGKILL at its parent's death, and see whether that was before."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def before_exec() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return before_exec


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def trim(path: Path, limit_bytes: int) -> None:
    """Keep one old copy (.1) of a log that is appended to, and begin anew; lines written meanwhile may be lost."""
    try:
        if path.stat().st_size <= limit_bytes:
            return
        path.with_name(path.name + ".1").write_bytes(path.read_bytes())
        os.truncate(path, 0)
    except OSError as error:
        log.warning("cannot trim %s: %s", path, error)


def tail(path: Path, limit_bytes: int = LOG_TAIL_BYTES) -> str:
    """The end of a log as one line, for messages."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit_bytes))
            return " ".join(file.read().decode("utf-8", "replace").split()) or "it said nothing"
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
