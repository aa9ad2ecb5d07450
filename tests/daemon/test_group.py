from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from kmsched.artifacts.digests import Read
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.core.leadership import Fact
from kmsched.core.step import step
from kmsched.daemon.deadman import GOODBYE, WHO_PATH
from kmsched.daemon.group import FINGERPRINT, ROLLOUT, Group
from kmsched.daemon.identity import TERM
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import Conflict, NobodyListens
from kmsched.ha import HaConfig
from kmsched.wire import members as records
from kmsched.wire.etcd import Delete, Put
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.virtual_time import VirtualClock

ETCD = "http://e1:2379"
OURS, OTHERS = "a" * 64, "b" * 64


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


def test_a_leader_that_was_killed_is_followed_within_a_quarter_of_a_second() -> None:
    async def story(world: World) -> None:
        first = world.leader
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(0.25)
        assert world.leader.group.deadman.revoked + sum(each.group.deadman.revoked for each in world.standbys()) >= 1

    play("abc", story)


def test_a_leader_that_leaves_says_goodbye_and_nobody_is_held_for_dead() -> None:
    async def story(world: World) -> None:
        first = world.leader
        await first.group.leave("SIGUSR1")
        await asyncio.sleep(0.1)
        world.processes.remove(first)
        assert world.leader is not first
        assert [each.group.deadman.revoked for each in world.processes] == [0, 0]
        await first.die()

    play("abc", story)


def test_what_successors_go_by_is_written_in_the_first_term() -> None:
    async def story(world: World) -> None:
        store = world.leader.group.store
        term, fingerprint = await store.get(TERM), await store.get(FINGERPRINT)
        assert term is not None
        assert term.value == str(world.leader.group.election.leadership.term)
        assert fingerprint is not None
        assert fingerprint.value == OURS

    play("ab", story)


def test_a_term_is_above_the_stored_one_though_etcd_was_restored_from_a_backup() -> None:
    async def story(world: World) -> None:
        record = await world.leader.group.store.get(TERM)
        await world.leader.group.store.put(TERM, "5000", record.revision if record else 0)
        first = world.leader
        await first.group.leave("asked to")
        await asyncio.sleep(1)
        world.processes.remove(first)
        await world.leader.group.led()
        assert world.leader.group.election.leadership.term == 5001
        await first.die()

    play("ab", story)


def test_another_fingerprint_stays_up_and_does_not_lead_until_it_is_allowed() -> None:
    async def story(world: World) -> None:
        other = world.add("b", OTHERS)
        await asyncio.sleep(2)
        (reason,) = other.group.reasons_of_fingerprint()
        assert reason.startswith(f"its fingerprint {OTHERS[:16]} is not that of the group, {OURS[:16]}: ")
        first = world.leader
        assert first.group.healthy_standbys() == []
        await first.group.leave("asked to")
        world.processes.remove(first)
        await asyncio.sleep(10)
        assert world.standbys() == [other]
        await other.group.store.put(ROLLOUT, f"{OTHERS}", 0)
        await asyncio.sleep(3)
        assert other.leads
        assert other.group.reasons_of_fingerprint() == []
        await first.die()

    play("a", story)


def test_who_was_allowed_by_a_record_that_is_deleted_is_allowed_no_more() -> None:
    async def story(world: World) -> None:
        other = world.add("b", OTHERS)
        first = world.leader
        await first.group.store.put(ROLLOUT, OTHERS, 0)
        await asyncio.sleep(2)
        assert other.group.reasons_of_fingerprint() == []
        # as by etcdctl
        await first.group.etcd.txn([], [Delete(first.group.keys.prefix + ROLLOUT)])
        await asyncio.sleep(10)
        (reason,) = other.group.reasons_of_fingerprint()
        assert f"is not that of the group, {OURS[:16]}: " in reason
        assert first.group.reasons_of_fingerprint() == []

    play("a", story)


def test_who_may_act_again_after_a_suspension_is_told_to_reconcile() -> None:
    async def story(world: World) -> None:
        leader = world.leader
        for fact in (Fact.SUBSCRIBED, Fact.SETTLED):
            leader.group.lead.tell(fact)
        world.network.model.lose_quorum()
        await asyncio.sleep(4)
        assert (leader.group.lead.role, leader.resumed) == ("suspended", 0)
        world.network.model.regain_quorum()
        await asyncio.sleep(2)
        assert (leader.group.lead.role, leader.resumed) == ("reconciling", 1)

    play("a", story)


def test_a_record_of_who_may_lead_that_cannot_be_read_ends_nobody() -> None:
    async def story(world: World) -> None:
        first, (second,) = world.leader, world.standbys()
        for key in (ROLLOUT, FINGERPRINT):
            await first.group.etcd.txn([], [Put(first.group.keys.prefix + key, b"written by hand")])
            await asyncio.sleep(2)
        assert first.leads
        assert second.group.reasons_of_fingerprint() == [], "what was read before still holds"
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(10)
        assert second.leads
        late = world.add("c")
        await asyncio.sleep(2)
        (reason,) = late.group.reasons_of_fingerprint()
        assert "kmsched/Kubernetes/fingerprint in etcd cannot be read" in reason

    play("ab", story)


def test_who_could_lead_at_once_is_known() -> None:
    async def story(world: World) -> None:
        leader = world.leader
        assert sorted(each.instance for each in leader.group.healthy_standbys()) == sorted(
            each.name for each in world.standbys()
        )
        world.standbys()[0].group.election.describe(is_synced=False)
        await asyncio.sleep(2)
        assert len(leader.group.healthy_standbys()) == 1

    play("abc", story)


def test_a_store_whose_leader_has_changed_takes_nothing_from_the_old_one() -> None:
    async def story(world: World) -> None:
        first = world.leader
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(1)
        await world.leader.group.led()
        record = await world.leader.group.store.get(TERM)
        assert record is not None
        with pytest.raises(Conflict, match="does not lead any more"):
            await first.group.store.put(TERM, "1", record.revision)
        assert await world.leader.group.store.get(TERM) == record

    play("ab", story)
