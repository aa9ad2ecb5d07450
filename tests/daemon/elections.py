"""Several elections on one modelled etcd, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from kmsched.clients.etcd import EtcdClient
from kmsched.core.leadership import Leadership, Role
from kmsched.daemon.election import Election, Timing
from kmsched.wire.members import Keys, Member
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.virtual_time import VirtualClock

TIMING = Timing(ttl_s=5, renew_interval_s=1.0, request_deadline_s=1.6, renew_deadline_s=3.4)
ENDPOINTS = ("http://e1:2379", "http://e2:2379", "http://e3:2379")
KEYS = Keys("Kubernetes")


def member(name: str, boot_id: str = "", home: str = "", lock_id: str = "") -> Member:
    return Member(
        instance=name,
        boot_id=boot_id or f"boot-{name}",
        url=f"http://{name}:10251",
        home=home or f"{name}:/state",
        lock_id=lock_id or f"lock of {name}",
        role="standby",
        is_synced=True,
        fingerprint="f" * 64,
        version="1",
        lease_id="0",
    )


@dataclass
class Process:
    """One scheduler's election and how it is connected. `stopped`: as by SIGSTOP, for what it does by itself."""

    name: str
    model: EtcdModel
    seed: int
    log: list[tuple[float, Role, int]] = field(default_factory=list)
    reason_not_to: str = ""
    highest_term: int = 0
    #: how long it takes to look for the highest term
    looks_s: float = 0.0
    known: Member | None = None
    timing: Timing = TIMING
    ways: EtcdWays = field(init=False)
    election: Election = field(init=False)
    task: asyncio.Task[None] | None = None
    on_change: Callable[[Leadership, Leadership], None] = lambda *_: None

    def __post_init__(self) -> None:
        clock = VirtualClock()
        self.ways = EtcdWays(self.model, {endpoint: Way() for endpoint in ENDPOINTS})
        client = EtcdClient(ENDPOINTS, self.ways, clock, call_deadline_s=self.timing.request_deadline_s)
        self.election = Election(
            client,
            KEYS,
            self.known or member(self.name),
            self.timing,
            may_campaign=lambda: self.reason_not_to,
            highest_term=self._highest_term,
            changed=self._changed,
            clock=clock,
            rng=Random(self.seed),
        )

    async def _highest_term(self) -> int:
        await asyncio.sleep(self.looks_s)
        return self.highest_term

    def _changed(self, before: Leadership, now: Leadership) -> None:
        self.on_change(before, now)
        self.log.append((VirtualClock().monotonic(), now.role, now.term))

    def start(self) -> None:
        self.task = asyncio.create_task(self.election.run())

    async def crash(self) -> None:
        """Nothing is revoked."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def lease_id(self) -> int:
        return int(self.election.member.lease_id)

    @property
    def role(self) -> Role:
        return self.election.leadership.role

    def cut(self, is_cut: bool = True) -> None:
        for way in self.ways.ways.values():
            way.is_cut = is_cut


@dataclass
class Cluster:
    model: EtcdModel
    processes: list[Process]
    timing: Timing = TIMING

    def leaders(self) -> list[Process]:
        return [each for each in self.processes if each.election.leadership.is_leading]

    @property
    def leader(self) -> Process:
        (only,) = self.leaders()
        return only

    def add(self, name: str, known: Member | None = None) -> Process:
        process = Process(name, self.model, len(self.processes) + 1, known=known, timing=self.timing)
        self.processes.append(process)
        process.start()
        return process


def play(names: str, story: Callable[[Cluster], Awaitable[None]], timing: Timing = TIMING) -> Cluster:
    """Run `story` with a scheduler for each letter of `names`, up for 3 s; end all afterwards."""

    async def main() -> Cluster:
        model = EtcdModel(VirtualClock())
        cluster = Cluster(model, [], timing)
        lessor = asyncio.create_task(_expire_forever(model))
        for name in names:
            cluster.add(name)
        try:
            await asyncio.sleep(3)
            await story(cluster)
        finally:
            lessor.cancel()
            for each in cluster.processes:
                await each.crash()
        return cluster

    return virtual_time.run(main())


async def _expire_forever(model: EtcdModel) -> None:
    while True:
        await asyncio.sleep(0.1)
        model.expire()


async def until(holds: Callable[[], bool]) -> None:
    """Look as often as virtual time allows."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.0005)
