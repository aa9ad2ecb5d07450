from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from kmsched.clients.http import Request, Response
from kmsched.daemon.deadman import GOODBYE, MAX_TAKEOVERS, PATH, DeadMan
from kmsched.errors import NobodyListens, Unavailable
from kmsched.wire.members import Leader
from tests import virtual_time
from tests.virtual_time import VirtualClock


def leader(boot_id: str = "boot-1", lease_id: str = "77") -> Leader:
    return Leader(
        instance="a",
        boot_id=boot_id,
        url="http://a:10251",
        since_s=0.0,
        term_at_least=1,
        lease_id=lease_id,
        fingerprint="f",
        version="1",
    )


def hello(boot_id: str, lease_id: str = "77") -> bytes:
    return json.dumps({"instance": "a", "boot_id": boot_id, "term": 1, "lease_id": lease_id}).encode()


@dataclass
class LeaderProcess:
    """The leader's side, as a transport. `ending` ends the open connections: with a goodbye, or just so."""

    boot_id: str = "boot-1"
    lease_id: str = "77"
    lives: bool = True
    answers: bool = True
    says_goodbye: bool = False
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    probes: list[float] = field(default_factory=list)

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        self.probes.append(VirtualClock().monotonic())
        if not self.answers:
            await asyncio.sleep(deadline_s)
            raise Unavailable(f"{request.host} did not answer within {deadline_s:g} s")
        if not self.lives:
            raise NobodyListens(f"{request.host}: no connection: Connection refused")
        return Response(503, body=hello(self.boot_id, self.lease_id))

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[LeaderProcess]:
        assert request.url.endswith(PATH)
        if not self.answers:
            await asyncio.sleep(connect_s)
            raise Unavailable("silence")
        if not self.lives:
            raise NobodyListens("refused")
        self.connections += 1
        yield self

    status = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield hello(self.boot_id)
        yield b"\n"
        await self.ending.wait()
        if self.says_goodbye:
            yield GOODBYE + b"\n"
        else:
            raise Unavailable("a:10251: the connection broke")

    async def read(self, limit: int) -> bytes:
        return b""

    async def close(self) -> None:
        pass


@dataclass
class Watch:
    process: LeaderProcess
    known: Leader | None
    #: whether what etcd shows follows what was revoked
    is_late: bool = False
    ended: set[int] = field(default_factory=set)
    revoked: list[int] = field(default_factory=list)
    deadman: DeadMan = field(init=False)

    def __post_init__(self) -> None:
        self.deadman = DeadMan(lambda: self.known, self._revoke, self.process, VirtualClock())

    async def _revoke(self, lease_id: int) -> bool:
        if lease_id in self.ended:
            return False
        self.ended.add(lease_id)
        self.revoked.append(lease_id)
        if not self.is_late:
            self.known = None
        return True


def play(story: Callable[[Watch], object], known: Leader | None = None) -> Watch:
    async def main() -> Watch:
        watch = Watch(LeaderProcess(), known or leader())
        task = asyncio.create_task(watch.deadman.run())
        await asyncio.sleep(1)
        story(watch)
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return watch

    return virtual_time.run(main())


def test_a_process_that_died_loses_its_lease_after_two_refusals() -> None:
    def dies(watch: Watch) -> None:
        watch.process.lives = False
        watch.process.ending.set()

    watch = play(dies)
    assert watch.revoked == [77]
    first, second = watch.process.probes
    assert first == pytest.approx(1.0)
    assert second - first == pytest.approx(0.05)


def test_a_goodbye_is_no_death() -> None:
    def leaves(watch: Watch) -> None:
        watch.process.says_goodbye = True
        watch.process.ending.set()

    watch = play(leaves)
    assert watch.revoked == []
    assert watch.process.probes == []


def test_packets_that_are_dropped_prove_nothing() -> None:
    def falls_silent(watch: Watch) -> None:
        watch.process.answers = False
        watch.process.ending.set()

    watch = play(falls_silent)
    assert watch.process.probes != []
    assert watch.revoked == []


def test_a_connection_that_broke_while_the_process_lives_is_made_again() -> None:
    def breaks(watch: Watch) -> None:
        watch.process.ending.set()
        watch.process.ending = asyncio.Event()

    watch = play(breaks)
    assert watch.revoked == []
    assert watch.process.connections == 2


def test_another_process_at_its_port_proves_the_death() -> None:
    def is_replaced(watch: Watch) -> None:
        watch.process.boot_id = "boot-2"
        watch.process.ending.set()

    assert play(is_replaced).revoked == [77]


def test_a_copy_of_its_host_at_its_address_proves_nothing_before_it_is_a_member() -> None:
    def is_copied(watch: Watch) -> None:
        watch.process.boot_id, watch.process.lease_id = "boot-2", "0"
        watch.process.ending.set()

    assert play(is_copied).revoked == []


def test_a_record_whose_process_was_dead_before_is_noticed() -> None:
    watch = play(lambda _: None, known=leader(boot_id="boot-0"))
    assert watch.revoked == [77]


def test_nobody_is_judged_while_nobody_or_this_process_leads() -> None:
    def nobody(watch: Watch) -> None:
        watch.known = None
        watch.process.lives = False
        watch.process.ending.set()

    assert play(nobody).revoked == []


def test_a_frozen_process_that_led_before_hides_no_death_of_the_leader() -> None:
    async def main() -> None:
        frozen = LeaderProcess()
        watch = Watch(frozen, leader())
        task = asyncio.create_task(watch.deadman.run())
        await asyncio.sleep(1)
        assert frozen.connections == 1
        # its connection stays, and another process of the group leads, and dies
        frozen.lives = False
        watch.known = leader("boot-2", "78")
        await asyncio.sleep(3)
        assert watch.revoked == [78]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual_time.run(main())


def test_one_death_counts_once_however_late_it_is_seen() -> None:
    async def main() -> None:
        watch = Watch(LeaderProcess(lives=False), leader(), is_late=True)
        task = asyncio.create_task(watch.deadman.run())
        await asyncio.sleep(20)
        assert watch.revoked == [77]
        assert watch.deadman.alarm == ""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual_time.run(main())


def test_deaths_that_come_too_often_are_left_to_the_ttl(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Watch:
        watch = Watch(LeaderProcess(lives=False), leader())
        task = asyncio.create_task(watch.deadman.run())
        for number in range(MAX_TAKEOVERS + 3):
            watch.known = leader(lease_id=str(number))
            await asyncio.sleep(5)
        assert watch.revoked == list(range(MAX_TAKEOVERS))
        assert "3 leaders died within 60 s: the next is followed when its lease ends" in watch.deadman.alarm
        await asyncio.sleep(60)
        assert len(watch.revoked) == MAX_TAKEOVERS + 1
        assert watch.deadman.alarm == ""
        assert watch.deadman.left == 3
        told = [words for words in caplog.messages if "its lease is left to its TTL: 3 leaders died" in words]
        assert len(told) == 3
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return watch

    virtual_time.run(main())
