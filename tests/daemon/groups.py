"""Groups of schedulers over a modelled etcd and dead-man's connections, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from kmsched.artifacts.digests import Read
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.core.step import step
from kmsched.daemon.deadman import GOODBYE, WHO_PATH
from kmsched.daemon.group import Group
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import NobodyListens
from kmsched.ha import HaConfig
from kmsched.wire import members as records
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.virtual_time import VirtualClock

ETCD = "http://e1:2379"


OURS = "a" * 64


def config(name: str) -> HaConfig:
    return HaConfig(
        etcd_servers=(ETCD,),
        etcd_user=None,
        etcd_password_file=None,
        etcd_ca_file=None,
        etcd_cert_file=None,
        etcd_key_file=None,
        lease_ttl_s=5,
        renew_interval_s=1.0,
        request_deadline_s=1.6,
        renew_deadline_s=3.4,
        call_deadline_s=1.0,
        instance=name,
        url=f"http://{name}:10251",
    )


def read_nothing(_: str) -> list[bytes]:
    raise AssertionError("no artifact is read here")


@dataclass
class Network:
    """Etcd's model, and every scheduler's two routes for its peers."""

    model: EtcdModel
    processes: dict[str, Process] = field(default_factory=dict)
    etcd: EtcdWays = field(init=False)

    def __post_init__(self) -> None:
        self.etcd = EtcdWays(self.model, {ETCD: Way()})

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        if request.url.startswith(ETCD):
            return await self.etcd.call(request, deadline_s=deadline_s)
        assert request.url.endswith(WHO_PATH)
        return Response(200, body=records.encode(self._process(request).group.hello()))

    def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        if request.url.startswith(ETCD):
            return self.etcd.stream(request, connect_s=connect_s, idle_s=idle_s)
        return self._deadman(request)

    @asynccontextmanager
    async def _deadman(self, request: Request) -> AsyncIterator[_Connection]:
        yield _Connection(self._process(request))

    async def close(self) -> None:
        pass

    def _process(self, request: Request) -> Process:
        name = request.host.partition(":")[0]
        if name not in self.processes:
            raise NobodyListens(f"{request.host}: no connection: Connection refused")
        return self.processes[name]


@dataclass
class Process:
    name: str
    network: Network
    fingerprint: str
    reasons: list[str] = field(default_factory=list)
    resumed: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    group: Group = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        read: Read = read_nothing
        surroundings = Surroundings(
            clock=VirtualClock(),
            rng=Random(self.name),
            make_transport=self._transport,
            environment={},
            hostname=self.name,
            step=step,
            read_artifact=read,
        )
        self.group = Group(config(self.name), "Kubernetes", surroundings, home=f"{self.name}:/state", lock_id=self.name)

    def _transport(self, _: TlsSettings) -> Network:
        return self.network

    def start(self) -> None:
        self.network.processes[self.name] = self
        self.group.join(
            self.fingerprint,
            differences=lambda _: (),
            reasons_not_to_lead=lambda: self.reasons,
            highest_term=lambda: 0,
            resumed=self._resumed,
        )
        self.group.election.describe(is_synced=True)
        self.task = asyncio.create_task(self.group.run())

    def _resumed(self) -> None:
        self.resumed += 1

    async def die(self) -> None:
        """As by SIGKILL: the host lives, so the connections break and the port is refused."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.network.processes.pop(self.name, None)
        self.dead.set()

    @property
    def leads(self) -> bool:
        return self.group.election.leadership.is_leading


class _Connection:
    status = 200

    def __init__(self, process: Process) -> None:
        self._process = process
        self.headers: dict[str, str] = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        yield records.encode(self._process.group.hello()) + b"\n"
        ends = [asyncio.ensure_future(each.wait()) for each in (self._process.dead, self._process.group.ending)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        if not self._process.dead.is_set():
            yield GOODBYE + b"\n"

    async def read(self, limit: int) -> bytes:
        return b""


@dataclass
class World:
    network: Network
    processes: list[Process]

    @property
    def leader(self) -> Process:
        (leader,) = (each for each in self.processes if each.leads)
        return leader

    def standbys(self) -> list[Process]:
        return [each for each in self.processes if not each.leads]

    def add(self, name: str, fingerprint: str = OURS) -> Process:
        process = Process(name, self.network, fingerprint)
        self.processes.append(process)
        process.start()
        return process


def play(names: str, story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        model = EtcdModel(VirtualClock())
        world = World(Network(model), [])
        for name in names:
            world.add(name)
        await asyncio.sleep(3)
        await world.leader.group.led()
        await asyncio.sleep(1)
        try:
            await story(world)
        finally:
            for each in world.processes:
                await each.die()

    virtual_time.run(main())
