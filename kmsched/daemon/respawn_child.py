"""The replacement process, from its own side: what it inherits, and when it may begin.

Knows that it leads only when it was told to, or when the process that it replaces is gone: that the connection ended
means that the other one neither acts nor listens.  It does not know how a scheduler leads.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass

from kmsched.clock import Clock
from kmsched.daemon import respawn_channel as channel
from kmsched.daemon.respawn_channel import Channel, Ended, Word
from kmsched.errors import KmError, ProtocolError

log = logging.getLogger(__name__)

#: of the environment: which descriptors are what
VARIABLE = "KM_REPLACES"
_TEXT = re.compile(r"channel=(\d+),listening=(\d+),lock=(\d+)")
WARM_STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Inherited:
    """Descriptors of this process."""

    channel_fd: int
    listening_fd: int
    lock_fd: int

    def text(self) -> str:
        return f"channel={self.channel_fd},listening={self.listening_fd},lock={self.lock_fd}"

    def descriptors(self) -> tuple[int, int, int]:
        return self.channel_fd, self.listening_fd, self.lock_fd

    def listening(self) -> socket.socket:
        made = socket.socket(fileno=self.listening_fd)
        made.set_inheritable(False)
        return made

    def channel(self) -> Channel:
        made = socket.socket(fileno=self.channel_fd)
        made.set_inheritable(False)
        return Channel(made)


def inherited(environment: MutableMapping[str, str]) -> Inherited | None:
    """None: this process replaces nobody. What is read is removed: it is not meant for processes that follow."""
    text = environment.pop(VARIABLE, None)
    if text is None:
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ProtocolError(f"{VARIABLE}={text!r} is not what a scheduler gives its replacement; unset it")
    return Inherited(*(int(each) for each in match.groups()))


@dataclass(frozen=True, slots=True)
class Steps:
    """What the new process does, in this order."""

    reasons_not_warm: Callable[[], list[str]]
    fingerprint: str
    begin: Callable[[], Awaitable[None]]  # lead, and answer at the socket
    subscribed: Callable[[], Awaitable[int]]  # the term, once Mesos has subscribed this process
    alone: Callable[[], None]  # the other process is gone, and systemd knows


async def take_over(connection: Channel, steps: Steps, version: str, clock: Clock) -> None:
    """From warm to being the only scheduler, over an open connection.

    ProtocolError: the other process says what it must not.
    """
    while reasons := steps.reasons_not_warm():
        log.debug("not ready to replace the other process yet: %s", reasons[0])
        await clock.sleep(WARM_STEP_S)
    try:
        await connection.send(Word(channel.READY, fingerprint=steps.fingerprint, version=version))
        word = await connection.receive()
    except Ended:
        log.warning("the process that this one should replace is gone before it was: leading in its place")
        await steps.begin()
        steps.alone()
        return
    if word.said != channel.LEAD:
        raise ProtocolError(f"the process that is replaced said {word.said!r} instead of {channel.LEAD!r}")
    await steps.begin()
    try:
        await connection.send(Word(channel.LEADING, term=await steps.subscribed()))
        word = await connection.receive()
    except Ended:
        steps.alone()
        return
    raise ProtocolError(f"the process that is replaced said {word.said!r} after {channel.LEAD!r}")


async def tell_failure(connection: Channel, error: KmError) -> None:
    """Why this process cannot replace the other; best effort, it sees the end of the connection as well."""
    try:
        await connection.send(Word(channel.FAILED, reason=str(error)[: channel.MAX_REASON]))
    except Ended:
        log.debug("nobody is there to be told that %s", error)
