"""A leader that cannot serve, and standbys that could: who leads, and how often that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any, cast

from kmsched.daemon.group import Group
from kmsched.daemon.reach import MAX_PATIENCE_S, PATIENCE_S, PROBE_S, Reach
from kmsched.errors import NotHandedOver, Unavailable
from kmsched.wire.members import Member
from tests import virtual_time
from tests.daemon.elections import member
from tests.virtual_time import VirtualClock


@dataclass
class Seen:
    """What a process sees of its group, and what it says there."""

    leads: bool = True
    passed_on: int = 0
    standbys: list[Member] = field(default_factory=list)
    said: list[bool] = field(default_factory=list)

    def healthy_standbys(self) -> list[Member]:
        return self.standbys

    def reaches_mesos(self, reaches: bool) -> None:
        self.said.append(reaches)

    async def amend_leader(self, **changes: Any) -> None:
        self.passed_on = changes["passed_on"]


@dataclass
class World:
    group: Seen = field(default_factory=Seen)
    reasons: list[str] = field(default_factory=list)
    master: bool = True
    refusal: str = ""
    handed: list[tuple[float, str, str | None]] = field(default_factory=list)

    async def probe(self) -> None:
        if not self.master:
            raise Unavailable("m:5050: no connection")

    async def hand_over(self, reason: str, to: str | None) -> str:
        if self.refusal:
            raise NotHandedOver(self.refusal)
        self.handed.append((VirtualClock().monotonic(), reason, to))
        return to or ""


def able(name: str, reaches: bool = True) -> Member:
    made = member(name)
    return type(made)(**{each: getattr(made, each) for each in made.__struct_fields__} | {"reaches_mesos": reaches})


def play(story: Callable[[World], Awaitable[None]]) -> World:
    async def main() -> World:
        world = World()
        reach = Reach(
            cast(Group, world.group),
            probe=world.probe,
            reasons=lambda: world.reasons,
            hand_over=world.hand_over,
            clock=VirtualClock(),
            rng=Random(1),
        )
        running = asyncio.create_task(reach.run())
        await story(world)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return world

    return virtual_time.run(main())


def test_it_hands_over_after_a_while_to_one_that_could_serve_and_says_why() -> None:
    async def story(world: World) -> None:
        world.group.standbys = [able("b", reaches=False), able("c")]
        await asyncio.sleep(100)
        world.reasons = ["not subscribed with a Mesos master: m:5050 does not answer", "something else"]
        began = VirtualClock().monotonic()
        await asyncio.sleep(PATIENCE_S - 1)
        assert world.handed == []
        await asyncio.sleep(3)
        ((at, reason, to),) = world.handed
        assert (to, world.group.passed_on) == ("c", 1)
        assert PATIENCE_S <= at - began <= PATIENCE_S + 2
        assert reason == (
            "this leader could not serve for 30 s (not subscribed with a Mesos master: m:5050 does not answer)"
        )

    play(story)


def test_it_leads_on_when_nobody_tells_that_it_could_serve() -> None:
    async def story(world: World) -> None:
        world.reasons = ["pods of the Kubernetes API are 30 s old: no answer"]
        world.group.standbys = [able("b", reaches=False)]
        await asyncio.sleep(3600)

    assert play(story).handed == []


def test_a_trouble_that_passes_or_that_all_have_at_times_is_waited_out() -> None:
    async def story(world: World) -> None:
        for _ in range(20):
            world.reasons, world.group.standbys = ["away"], [able("b")]
            await asyncio.sleep(PATIENCE_S / 2)
            world.reasons = []
            await asyncio.sleep(2)
            world.reasons, world.group.standbys = ["away"], []
            await asyncio.sleep(PATIENCE_S * 2)

    assert play(story).handed == []


def test_two_that_cannot_serve_though_they_say_so_hand_over_ever_more_seldom() -> None:
    async def story(world: World) -> None:
        world.reasons, world.group.standbys = ["Mesos refuses to subscribe"], [able("b")]
        await asyncio.sleep(3600)
        pauses = [after[0] - before[0] for before, after in pairwise(world.handed)]
        assert all(after >= before for before, after in pairwise(pauses))
        assert MAX_PATIENCE_S <= pauses[-1] <= MAX_PATIENCE_S + 3
        assert len(world.handed) == 9
        # the first that serves begins anew
        world.reasons = []
        await asyncio.sleep(2)
        assert world.group.passed_on == 0

    play(story)


def test_a_handover_that_is_refused_is_tried_again_later() -> None:
    async def story(world: World) -> None:
        world.reasons, world.group.standbys, world.refusal = ["away"], [able("b")], "a handover is under way already"
        await asyncio.sleep(PATIENCE_S + 5)
        world.refusal = ""
        await asyncio.sleep(2 * PATIENCE_S + 5)
        assert [to for _, _, to in world.handed] == ["b"]

    play(story)


def test_a_standby_says_whether_the_master_answers_and_a_leader_does_not_ask() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(3 * PROBE_S)
        assert world.group.said == []
        world.group.leads = False
        for world.master in (True, False):
            await asyncio.sleep(2 * PROBE_S)
        assert world.group.said == [True, True, False, False]
        assert world.handed == []

    play(story)
