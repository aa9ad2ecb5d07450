"""A scheduler and its replacement in one event loop: the same protocol, descriptors and sockets, without processes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from kmsched.clients.http import Transport
from kmsched.config import SchedulerConfig
from kmsched.core.step import step
from kmsched.daemon.main import Daemon
from kmsched.daemon.respawn_channel import Channel, Word
from kmsched.daemon.respawn_child import Inherited
from kmsched.daemon.surroundings import Surroundings
from tests import virtual_time
from tests.daemon.processes import World
from tests.virtual_time import VirtualClock

#: what a replacement does that is none: it has the other end of the connection
Impostor = Callable[[Channel], Awaitable[None]]


class InLoop:
    """A `Child` that is a task."""

    def __init__(self, number: int, connection: Channel, work: asyncio.Task[None]) -> None:
        self.pid = number
        self._connection = connection
        self.work = work
        self.was_ended = False
        #: its parent is dead, and ends nobody
        self.is_forgotten = False

    async def send(self, word: Word) -> None:
        await self._connection.send(word)

    async def receive(self) -> Word:
        return await self._connection.receive()

    async def end(self) -> str:
        if self.is_forgotten:
            return ""
        self.was_ended = True
        self.work.cancel()
        await asyncio.gather(self.work, return_exceptions=True)
        self._connection.close()
        return "ended with exit code 7"

    def let_go(self) -> None:
        self._connection.close()


@dataclass
class Host:
    """One machine: daemons that replace each other. `impostors` come first, each instead of a real replacement."""

    config: SchedulerConfig
    world: World
    transport: Transport | None = None
    impostors: list[Impostor] = field(default_factory=list)
    later_config: SchedulerConfig | None = None
    daemons: list[Daemon] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    children: list[InLoop] = field(default_factory=list)
    is_launched: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, inherited: Inherited | None = None) -> asyncio.Task[None]:
        config = self.later_config if inherited is not None and self.later_config is not None else self.config
        daemon = Daemon(
            config,
            Surroundings(
                clock=VirtualClock(),
                rng=Random(len(self.daemons)),
                make_transport=lambda _: self.transport or self.world.transport,
                environment={},
                hostname="s1",
                step=step,
                read_artifact=self.world.read,
            ),
            inherited,
            self._launch,
        )
        self.daemons.append(daemon)
        task = asyncio.create_task(daemon.run())
        self.tasks.append(task)
        return task

    async def _launch(self, _: Mapping[str, str], listening: socket.socket, lock_fd: int) -> InLoop:
        ours, theirs = socket.socketpair()
        connection = Channel(ours)
        await connection.open()
        if self.impostors:
            work = asyncio.create_task(_impose(self.impostors.pop(0), Channel(theirs)))
        else:
            work = self.add(Inherited(theirs.detach(), listening.dup().detach(), os.dup(lock_fd)))
        child = InLoop(100 + len(self.children), connection, work)
        self.children.append(child)
        self.is_launched.set()
        return child

    async def die(self, number: int) -> None:
        """As much as a task can."""
        self.tasks[number].cancel()
        await asyncio.gather(self.tasks[number], return_exceptions=True)

    async def page(self, number: int, path: str) -> tuple[int, Any]:
        scheduler = self.daemons[number].scheduler
        assert scheduler is not None
        async with (
            virtual_time.exchange(),
            aiohttp.ClientSession() as session,
            session.get(scheduler.web.url + path) as answer,
        ):
            return answer.status, await answer.json()

    def term(self, number: int) -> int:
        scheduler = self.daemons[number].scheduler
        assert scheduler is not None
        return scheduler.core.state.term

    @property
    def subscribed(self) -> int:
        return sum(call["type"] == "SUBSCRIBE" for call in self.world.calls)


async def _impose(impostor: Impostor, connection: Channel) -> None:
    await connection.open()
    try:
        await impostor(connection)
    finally:
        connection.close()


def play(host: Callable[[], Host], story: Callable[[Host], Awaitable[None]]) -> None:
    """`story` with a scheduler that has led for a while, in virtual time."""

    async def main() -> None:
        made = host()
        made.add()
        try:
            await asyncio.sleep(5)
            await story(made)
        finally:
            for each in (*made.tasks, *(child.work for child in made.children)):
                each.cancel()
            await asyncio.gather(*made.tasks, *(child.work for child in made.children), return_exceptions=True)
            for child in made.children:
                child.let_go()

    virtual_time.run(main())
