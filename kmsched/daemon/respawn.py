"""The replacement process, from the side of the scheduler that it replaces.

Knows how the program that is on the disk now is started with our socket and our lock, in which order the two processes
change places, and that whatever goes wrong ends the new one and not the old one.  It does not know how a scheduler
stops acting, nor leads.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmsched.clients.http import within
from kmsched.clock import Clock
from kmsched.daemon import respawn_channel as channel
from kmsched.daemon.respawn_channel import Channel, Ended, Word
from kmsched.daemon.respawn_child import VARIABLE, Inherited
from kmsched.errors import KmError, NotHandedOver, ProtocolError

log = logging.getLogger(__name__)

#: nobody leads while the replacement subscribes: not longer than this, even if there is more time
TAKE_S = 10.0
#: between SIGTERM and SIGKILL of a replacement that is not wanted any more
GRACE_S = 1.0
#: for one that ends by itself, so that its exit code is known
ENDING_S = 0.2
WAIT_STEP_S = 0.02
#: their default action would end a process that has not begun to listen for them
BLOCKED = frozenset({signal.SIGUSR1, signal.SIGHUP})
LEADS_ON = "this process leads on"


class Child(Protocol):
    """The replacement: a process, and the connection to it."""

    @property
    def pid(self) -> int: ...

    async def send(self, word: Word) -> None: ...

    async def receive(self) -> Word:
        """Ended: it closed the connection. ProtocolError: it says what is no word."""
        ...

    async def end(self) -> str:
        """Returns when the process is gone; how it ended, in words."""
        ...

    def let_go(self) -> None:
        """It goes on alone: it sees the connection end."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """What the old process does. `step_aside` returns when nothing of it can have an effect any more."""

    step_aside: Callable[[], Awaitable[None]]
    #: what becomes of this process, in words
    lead_on: Callable[[], Awaitable[str]]
    fingerprint: str


async def replace(child: Child, places: Places, clock: Clock, limit_s: float) -> int:
    """Change places with the process `child`; its term. It is let go by the caller.

    NotHandedOver says why not, and what becomes of this process: the child has ended then.
    """
    began, is_aside = clock.monotonic(), False
    try:
        ready = await _hear(child, channel.READY, clock, limit_s)
        if ready.fingerprint != places.fingerprint:
            raise NotHandedOver(
                f"its fingerprint {ready.fingerprint[:16]} is not ours, {places.fingerprint[:16]}: km fingerprint diff"
                " names the flags; executors are not changed by a handover"
            )
        warm_at = clock.monotonic()
        is_aside = True
        await places.step_aside()
        aside_at = clock.monotonic()
        await child.send(Word(channel.LEAD))
        leading = await _hear(child, channel.LEADING, clock, min(TAKE_S, max(0.0, began + limit_s - aside_at)))
    except BaseException as error:
        ended = await child.end()
        remains = await places.lead_on() if is_aside else LEADS_ON
        if not isinstance(error, KmError):
            raise
        why = f"{error}; it {ended}" if isinstance(error, Ended) else str(error)
        raise NotHandedOver(f"the replacement, process {child.pid}, cannot lead: {why}; {remains}") from error
    log.info(
        "process %d leads in term %d: warm after %.3f s, let to lead after %.3f s, subscribed after %.3f s",
        child.pid,
        leading.term,
        warm_at - began,
        aside_at - warm_at,
        clock.monotonic() - aside_at,
    )
    return leading.term


async def _hear(child: Child, wanted: str, clock: Clock, limit_s: float) -> Word:
    word = await within(clock, limit_s, child.receive(), f"it was not {wanted} within {limit_s:g} s")
    if word.said == channel.FAILED:
        raise NotHandedOver(word.reason)
    if word.said != wanted:
        raise ProtocolError(f"it said {word.said!r} when it should be {wanted}")
    return word


class Program:
    """A `Child` that is a process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Channel, clock: Clock) -> None:
        self._process = process
        self._connection = connection
        self._clock = clock

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open(self) -> None:
        await self._connection.open()

    async def send(self, word: Word) -> None:
        await self._connection.send(word)

    async def receive(self) -> Word:
        return await self._connection.receive()

    async def end(self) -> str:
        """By SIGTERM, by SIGKILL if that is not enough, or if there is no time for it."""
        try:
            if not await self._has_ended(ENDING_S):
                self._process.terminate()
                if not await self._has_ended(GRACE_S):
                    self._process.kill()
                    while not await self._has_ended(GRACE_S):
                        log.warning("process %d was killed and has not ended yet", self.pid)
        except BaseException:
            self._process.kill()
            raise
        self._connection.close()
        code = self._process.returncode
        return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def let_go(self) -> None:
        self._connection.close()

    async def _has_ended(self, limit_s: float) -> bool:
        """Now or within this time."""
        until = self._clock.monotonic() + limit_s
        while self._process.poll() is None and self._clock.monotonic() < until:
            await self._clock.sleep(WAIT_STEP_S)
        return self._process.poll() is not None


def command_line() -> list[str]:
    """What this process was started with: the program file is read anew."""
    return [sys.executable, *sys.orig_argv[1:]]


async def start(
    command: Sequence[str], environment: Mapping[str, str], listening: socket.socket, lock_fd: int, clock: Clock
) -> Program:
    """Start the replacement. NotHandedOver: it cannot be started at all."""
    try:
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = Inherited(channel_fd=theirs.fileno(), listening_fd=listening.fileno(), lock_fd=lock_fd)
            try:
                process = _spawn(command, environment, inherited)
            except BaseException:
                ours.close()
                raise
    except OSError as error:
        raise NotHandedOver(f"{command[0]} cannot be started: {error}; {LEADS_ON}") from error
    program = Program(process, Channel(ours), clock)
    try:
        await program.open()
    except BaseException:
        # it would take the end of the connection for our death, and lead
        await program.end()
        raise
    return program


def _spawn(command: Sequence[str], environment: Mapping[str, str], inherited: Inherited) -> subprocess.Popen[bytes]:
    with _blocked(BLOCKED):
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**environment, VARIABLE: inherited.text()},
            pass_fds=inherited.descriptors(),
        )


@contextlib.contextmanager
def _blocked(signals: frozenset[signal.Signals]) -> Iterator[None]:
    """A process that is started meanwhile inherits this; it listens for them when it is ready to."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
