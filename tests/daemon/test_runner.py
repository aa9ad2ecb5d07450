"""The consumer: order, ticks, bounds, and a core that raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import pytest

from kmsched.core.demand import OTHER_EXECUTOR
from kmsched.core.effects import DeclineOffers, Effect, ReviveOffers
from kmsched.core.events import CycleInterrupted, Event, NodeDeleted, OfferRescinded, Ticked
from kmsched.daemon.decisions import Decisions
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.runner import GATHER_S, MAX_BATCH, TICK_S, TURN_S, Runner, Step
from kmsched.errors import EXIT_INTERNAL, InternalError
from tests.clients.fakes import FakeClock
from tests.daemon.values import accept


class Scene:
    """A runner with a scripted core; `stepped` and `executed` in their order."""

    def __init__(self, step: Step | None = None) -> None:
        self.clock = FakeClock()
        self.inbox = Inbox()
        self.decisions = Decisions(self.clock)
        self.metrics = Metrics()
        self.stepped: list[tuple[Event, float]] = []
        self.executed: list[Effect] = []
        self.slices: Iterator[bool] = iter(())
        self.taken = 0
        self.runner = Runner(
            step or self._remember,
            self.executed.append,
            inbox=self.inbox,
            decisions=self.decisions,
            metrics=self.metrics,
            clock=self.clock,
            is_placing=lambda: next(self.slices, False),
        )

    def take_long(self) -> Sequence[Effect]:
        self.taken += 1
        self.clock.now_s += TURN_S
        return []

    def _remember(self, event: Event, now: float) -> Sequence[Effect]:
        self.stepped.append((event, now))
        if isinstance(event, NodeDeleted):
            return [ReviveOffers(cause=event.name, reason="one"), ReviveOffers(cause=event.name, reason="two")]
        return []


def test_events_are_stepped_in_order_and_their_effects_executed_in_order() -> None:
    async def scenario() -> None:
        scene = Scene()
        for name in ("a", "b", "c"):
            await scene.inbox.put(NodeDeleted(name))
        await scene.runner.turn()
        assert [event for event, _ in scene.stepped] == [NodeDeleted("a"), NodeDeleted("b"), NodeDeleted("c")]
        assert [(e.cause, e.reason) for e in scene.executed] == [(n, r) for n in "abc" for r in ("one", "two")]
        assert {now for _, now in scene.stepped} == {scene.clock.now_s}

    asyncio.run(scenario())


def test_a_tick_follows_news_once_and_comes_again_only_when_it_is_time() -> None:
    async def scenario() -> None:
        scene = Scene()
        assert not scene.runner.tick_if_due()
        await scene.inbox.put(NodeDeleted("a"))
        await scene.runner.turn()
        assert scene.runner.tick_if_due()
        assert not scene.runner.tick_if_due(), "one tick waits already"
        await scene.runner.turn()
        assert scene.stepped[-1][0] == Ticked()
        assert not scene.runner.tick_if_due(), "a tick is no news"
        scene.clock.now_s += TICK_S
        assert scene.runner.tick_if_due()

    asyncio.run(scenario())


def test_news_that_comes_together_shares_a_tick() -> None:
    async def scenario() -> None:
        scene = Scene()
        for number in range(10):
            await scene.inbox.put(OfferRescinded(f"o{number}"))
            await scene.runner.turn()
        assert scene.runner.tick_if_due()
        await scene.runner.turn()
        assert [event for event, _ in scene.stepped].count(Ticked()) == 1

    asyncio.run(scenario())


def test_a_turn_takes_a_bounded_batch() -> None:
    async def scenario() -> None:
        scene = Scene()
        for number in range(MAX_BATCH + 1):
            await scene.inbox.put(OfferRescinded(f"o{number}"))
        await scene.runner.turn()
        assert len(scene.stepped) == MAX_BATCH
        assert len(scene.inbox) == 1

    asyncio.run(scenario())


def test_a_cycle_goes_on_behind_what_waits_and_once_at_a_time() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.slices = iter((True, True, True, False))
        await scene.inbox.put(Ticked())
        await scene.inbox.put(NodeDeleted("a"))
        for _ in range(3):
            await scene.runner.turn()
        assert [event for event, _ in scene.stepped] == [
            Ticked(),
            NodeDeleted("a"),
            CycleInterrupted(),
            CycleInterrupted(),
        ]

    asyncio.run(scenario())


def test_a_long_turn_lets_others_in_between() -> None:
    async def scenario() -> None:
        scene = Scene(lambda event, now: scene.take_long())
        for name in ("a", "b", "c"):
            await scene.inbox.put(NodeDeleted(name))
        turning = asyncio.create_task(scene.runner.turn())
        seen = set()
        while not turning.done():
            await asyncio.sleep(0)
            seen.add(scene.taken)
        assert 2 in seen

    asyncio.run(scenario())


def run_until_ticked(*news: Event) -> Scene:
    """The scene after the first tick that `run` makes."""

    async def scenario() -> Scene:
        ticked = asyncio.Event()

        def step(event: Event, now: float) -> Sequence[Effect]:
            if event == Ticked():
                ticked.set()
            return []

        scene = Scene(step)
        for event in news:
            await scene.inbox.put(event)
        running = asyncio.create_task(scene.runner.run())
        await ticked.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return scene

    return asyncio.run(scenario())


def test_an_idle_runner_ticks_from_time_to_time() -> None:
    assert run_until_ticked().clock.slept == [TICK_S]


def test_news_is_gathered_for_a_moment_only() -> None:
    assert run_until_ticked(NodeDeleted("a"), NodeDeleted("b")).clock.slept.count(GATHER_S) == 1


def test_a_core_that_raises_ends_the_process_with_the_event_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event, now: float) -> Sequence[Effect]:
        raise KeyError("pod-9")

    async def scenario() -> None:
        scene = Scene(broken)
        await scene.inbox.put(NodeDeleted("node-9"))
        with pytest.raises(InternalError, match="the core cannot take NodeDeleted: KeyError: 'pod-9'") as failure:
            await scene.runner.run()
        assert failure.value.exit_code == EXIT_INTERNAL

    asyncio.run(scenario())
    assert "NodeDeleted(name='node-9')" in caplog.text


def test_every_effect_is_one_decision_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def scenario() -> None:
        scene = Scene(lambda event, now: [accept("web", "db")])
        await scene.inbox.put(NodeDeleted("a"))
        await scene.runner.turn()
        (decision,) = scene.decisions.listed()
        assert decision["effect"] == "AcceptOffers"
        assert decision["reason"] == "they fit"
        assert decision["subject"] == ("agent agent-1, 1 offers: default/web as uid-web.1.1, default/db as uid-db.1.1")
        text = scene.metrics.rendered().decode()
        assert "kmsched_accepts_total 1.0" in text
        assert "kmsched_tasks_launched_total 2.0" in text
        assert "kmsched_pods_per_accept_sum 2.0" in text

    asyncio.run(scenario())
    assert [r.getMessage() for r in caplog.records if r.name == "kmsched.decisions"] == [
        "AcceptOffers agent agent-1, 1 offers: default/web as uid-web.1.1, default/db as uid-db.1.1: they fit (cycle)"
    ]


def test_only_the_last_decisions_are_kept() -> None:
    decisions = Decisions(FakeClock(), limit=2)
    for number in range(3):
        decisions.record(ReviveOffers(cause="test", reason=str(number)))
    assert [each["reason"] for each in decisions.listed()] == ["1", "2"]


def test_an_agent_that_is_refused_for_its_executor_is_told_once_and_again_when_something_else_differs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    decisions = Decisions(FakeClock())
    for reason in ("a1 runs another (--a)", "a2 runs another (--a)", "a1 runs another (--a)", "a1 runs another (--b)"):
        decisions.record(DeclineOffers(("o1",), 5.0, cause=OTHER_EXECUTOR, reason=reason))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"DeclineOffers o1: {reason} (executor of another fingerprint)")
        for reason in ("a1 runs another (--a)", "a2 runs another (--a)", "a1 runs another (--b)")
    ]
    assert len(decisions.listed()) == 4


def test_news_waits_for_room_and_outcomes_do_not() -> None:
    async def scenario() -> None:
        inbox = Inbox(max_news=1)
        await inbox.put(NodeDeleted("a"))
        waiting = asyncio.create_task(inbox.put(NodeDeleted("b")))
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.put_now(Ticked())
        assert await inbox.drain(10) == [NodeDeleted("a"), Ticked()]
        await waiting
        assert await inbox.drain(10) == [NodeDeleted("b")]

    asyncio.run(scenario())
