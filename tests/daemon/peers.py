"""Scheduler processes that share a framework, against fake upstreams and a modelled etcd, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.core.step import step
from kmsched.daemon.main import Daemon
from kmsched.daemon.respawn import Child
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import NotHandedOver
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.daemon.processes import World, settings
from tests.virtual_time import VirtualClock

ETCD = "http://etcd:2379"


class Both:
    """etcd by its endpoint, everything else by the fakes; peers do not answer at all, so that only etcd decides."""

    def __init__(self, world: World, etcd: EtcdWays) -> None:
        self._world, self._etcd = world, etcd

    def _of(self, request: Request) -> Any:
        return self._etcd if request.url.startswith(ETCD) else self._world.transport

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        answer: Response = await self._of(request).call(request, deadline_s=deadline_s)
        return answer

    def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        found: AbstractAsyncContextManager[StreamResponse] = self._of(request).stream(
            request, connect_s=connect_s, idle_s=idle_s
        )
        return found

    async def close(self) -> None:
        pass


async def _no_program(*_: object) -> Child:
    raise NotHandedOver("km: no such file; this process leads on")


@dataclass
class Peer:
    """One scheduler process; `world` counts what it asks of Mesos and Kubernetes."""

    name: str
    folder: Path
    model: EtcdModel
    flags: tuple[str, ...] = ()
    world: World = field(default_factory=World)
    daemon: Daemon = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        etcd = EtcdWays(self.model, {ETCD: Way()})
        config = settings(
            self.folder,
            "--ha",
            f"--etcd-servers={ETCD}",
            f"--ha-instance={self.name}",
            f"--ha-url=http://10.0.0.{ord(self.name)}:10251",
            *self.flags,
        )
        self.daemon = Daemon(
            config,
            Surroundings(
                clock=VirtualClock(),
                rng=Random(self.name),
                make_transport=lambda _: Both(self.world, etcd),
                environment={},
                hostname=self.name,
                step=step,
                read_artifact=self.world.read,
            ),
            launch=_no_program,
        )

    def start(self) -> None:
        self.task = asyncio.create_task(self.daemon.run())

    async def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def subscribed(self) -> list[dict[str, Any]]:
        return [call for call in self.world.calls if call["type"] == "SUBSCRIBE"]

    @property
    def term(self) -> int:
        assert self.daemon.scheduler is not None
        return self.daemon.scheduler.core.state.term

    async def page(self, path: str) -> tuple[int, Any]:
        assert self.daemon.scheduler is not None
        async with (
            virtual_time.exchange(),
            aiohttp.ClientSession() as session,
            session.get(self.daemon.scheduler.web.url + path) as answer,
        ):
            return answer.status, await answer.json()

    async def metrics(self) -> dict[str, float]:
        """By name and labels, as they are written."""
        assert self.daemon.scheduler is not None
        async with (
            virtual_time.exchange(),
            aiohttp.ClientSession() as session,
            session.get(f"{self.daemon.scheduler.web.url}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    async def resign(self, **body: str) -> tuple[int, Any]:
        assert self.daemon.scheduler is not None
        headers = {"Authorization": "Bearer secret"}
        async with (
            virtual_time.exchange(),
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.daemon.scheduler.web.url}/api/v1/resign", json=body) as answer,
        ):
            return answer.status, await answer.json()


def play(tmp_path: Path, story: Callable[[Callable[..., Peer]], Awaitable[None]]) -> None:
    async def main() -> None:
        model = EtcdModel(VirtualClock())
        peers: list[Peer] = []

        def add(name: str, *flags: str, model: EtcdModel = model) -> Peer:
            peer = Peer(name, tmp_path / name, model, flags)
            peers.append(peer)
            peer.start()
            return peer

        async def expire() -> None:
            while True:
                await asyncio.sleep(0.1)
                model.expire()

        lessor = asyncio.create_task(expire())
        try:
            await story(add)
        finally:
            lessor.cancel()
            for each in peers:
                await each.kill()

    virtual_time.run(main())
