"""Mesos calls: order, what a failure means for an ACCEPT, and what may be sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
from random import Random

import pytest

from kmsched.clients.mesos import Subscription
from kmsched.core.effects import (
    AcceptOffers,
    AcknowledgeUpdate,
    AnswerInverseOffer,
    ConfigureExecutor,
    DeclineOffers,
    KillTask,
    ReconcileTasks,
    ReviveOffers,
    SuppressOffers,
)
from kmsched.core.events import AcceptRefused, Event
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.to_mesos import MAX_SENDS, ToMesos
from kmsched.errors import Invalid, KmError, NotSubscribed, Unavailable
from kmsched.wire import hotsettings, mesos_calls
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos_calls import Call
from tests.clients.fakes import FakeClock
from tests.daemon.values import WHY, accept


class FakeMesos:
    """Takes calls, or raises what `failures` holds, one for each call."""

    def __init__(self, *failures: KmError) -> None:
        self.subscription: Subscription | None = Subscription("http://m:5050", "stream-1", "framework-1")
        self.failures = list(failures)
        self.calls: list[Call] = []

    async def call(self, call: Call) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)


def make_accept(effect: AcceptOffers, framework_id: str) -> Call:
    return mesos_calls.accept(effect.offer_ids, [{"id": framework_id}], refuse_s=effect.refuse_s)


def outlet(mesos: FakeMesos, reported: list[Event], max_waiting: int = 100) -> ToMesos:
    return ToMesos(
        mesos,
        make_accept,
        report=reported.append,
        metrics=Metrics(),
        clock=FakeClock(),
        rng=Random(1),
        max_waiting=max_waiting,
    )


def test_every_effect_is_sent_in_order_as_its_call() -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(), list[Event]()
        to_mesos = outlet(mesos, reported)
        update_id = base64.b64encode(b"0123456789abcdef").decode()
        for effect in (
            ReviveOffers(**WHY),
            accept("web"),
            DeclineOffers(("o2",), 3.0, **WHY),
            AcknowledgeUpdate("agent-1", "t1", update_id, **WHY),
            KillTask("t1", "", **WHY),
            ReconcileTasks((("t1", "agent-1"), ("t2", "")), **WHY),
            ReconcileTasks((), **WHY),
            AnswerInverseOffer("i1", "agent-1", True, 60.0, **WHY),
            AnswerInverseOffer("i2", "agent-2", False, 5.0, **WHY),
            SuppressOffers(**WHY),
        ):
            to_mesos.put(effect)
        for _ in range(10):
            await to_mesos.send_next()
        assert mesos.calls == [
            mesos_calls.revive(),
            mesos_calls.accept(["offer-1"], [{"id": "framework-1"}], refuse_s=5.0),
            mesos_calls.decline(["o2"], refuse_s=3.0),
            mesos_calls.acknowledge("agent-1", "t1", b"0123456789abcdef"),
            mesos_calls.kill("t1"),
            mesos_calls.reconcile([("t1", "agent-1"), ("t2", None)]),
            mesos_calls.reconcile(),
            mesos_calls.answer_inverse_offer("i1", may_go=True, refuse_s=60.0),
            mesos_calls.answer_inverse_offer("i2", may_go=False, refuse_s=5.0),
            mesos_calls.suppress(),
        ]
        assert reported == []

    asyncio.run(scenario())


@pytest.mark.parametrize("agent_id", ["", "agent-1"])
def test_no_kill_of_a_scheduler_has_a_policy_since_executors_take_one_with_a_policy_for_an_operators(
    agent_id: str,
) -> None:
    async def scenario() -> None:
        mesos = FakeMesos()
        to_mesos = outlet(mesos, list[Event]())
        to_mesos.put(KillTask("t1", agent_id, **WHY))
        await to_mesos.send_next()
        (call,) = mesos.calls
        assert set(json.loads(call.encode("F"))["kill"]) <= {"task_id", "agent_id"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "calls"),
    [(NotSubscribed("stream ended"), ["ACCEPT"]), (Invalid("no such resource"), ["ACCEPT", "DECLINE"])],
)
def test_an_accept_that_was_surely_not_taken_is_refused(error: KmError, calls: list[str]) -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(error), list[Event]()
        to_mesos = outlet(mesos, reported)
        to_mesos.put(accept("web", "db"))
        await to_mesos.send_next()
        assert reported == [AcceptRefused(("uid-web.1.1", "uid-db.1.1"), str(error))]
        assert [call.kind for call in mesos.calls] == calls

    asyncio.run(scenario())


def test_an_accept_whose_outcome_is_not_known_is_not_sent_again_and_its_offers_are_given_back() -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(Unavailable("no answer within 5 s"), Unavailable("slow")), list[Event]()
        to_mesos = outlet(mesos, reported)
        to_mesos.put(accept("web"))
        await to_mesos.send_next()
        assert reported == []
        give_back = mesos_calls.decline(["offer-1"], refuse_s=0.0)
        assert [call.kind for call in mesos.calls] == ["ACCEPT", "DECLINE", "DECLINE"]
        assert mesos.calls[1:] == [give_back, give_back]

    asyncio.run(scenario())


def test_without_a_subscription_nothing_is_sent_and_an_accept_is_refused_at_once() -> None:
    mesos, reported = FakeMesos(), list[Event]()
    mesos.subscription = None
    to_mesos = outlet(mesos, reported)
    to_mesos.put(accept("web"))
    to_mesos.put(KillTask("t1", "agent-1", **WHY))
    assert reported == [AcceptRefused(("uid-web.1.1",), "no subscription with a Mesos master stands")]
    assert mesos.calls == []


def test_an_accept_of_an_ended_subscription_is_not_sent_over_the_next_one() -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(), list[Event]()
        to_mesos = outlet(mesos, reported)
        to_mesos.put(accept("web"))
        mesos.subscription = Subscription("http://m:5050", "stream-2", "framework-1")
        await to_mesos.send_next()
        assert mesos.calls == []
        assert reported == [AcceptRefused(("uid-web.1.1",), "its subscription ended before its turn")]

    asyncio.run(scenario())


def test_what_may_happen_twice_is_sent_until_it_is_answered_within_bounds() -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(*[Unavailable("slow")] * 100), list[Event]()
        to_mesos = outlet(mesos, reported)
        to_mesos.put(ReviveOffers(**WHY))
        await to_mesos.send_next()
        assert len(mesos.calls) == MAX_SENDS
        mesos.failures = [Unavailable("slow")]
        to_mesos.put(KillTask("t1", "agent-1", **WHY))
        await to_mesos.send_next()
        assert len(mesos.calls) == MAX_SENDS + 2
        assert reported == []

    asyncio.run(scenario())


def test_nothing_is_sent_again_once_the_subscription_has_ended() -> None:
    class Ending(FakeMesos):
        async def call(self, call: Call) -> None:
            self.subscription = None
            await super().call(call)

    async def scenario() -> None:
        mesos = Ending(*[Unavailable("broke")] * 9)
        to_mesos = outlet(mesos, [])
        to_mesos.put(ReviveOffers(**WHY))
        await to_mesos.send_next()
        assert len(mesos.calls) == 1

    asyncio.run(scenario())


def test_a_full_queue_refuses_instead_of_waiting() -> None:
    async def scenario() -> None:
        mesos, reported = FakeMesos(), list[Event]()
        to_mesos = outlet(mesos, reported, max_waiting=1)
        to_mesos.put(accept("web"))
        to_mesos.put(accept("db"))
        assert reported == [AcceptRefused(("uid-db.1.1",), "1 calls to Mesos wait already")]

    asyncio.run(scenario())


def test_offers_are_given_back_however_many_calls_wait() -> None:
    """A master keeps for us what it never hears of again, and nobody else is offered it."""

    async def scenario() -> None:
        mesos, reported = FakeMesos(), list[Event]()
        to_mesos = outlet(mesos, reported, max_waiting=1)
        to_mesos.put(KillTask("t1", "A1", **WHY))
        to_mesos.put(KillTask("t2", "A1", **WHY))
        to_mesos.put(DeclineOffers(("o2",), 5.0, **WHY))
        to_mesos.put(accept("web"))
        for _ in range(3):
            await to_mesos.send_next()
        assert [call.kind for call in mesos.calls] == ["KILL", "DECLINE", "DECLINE"]

    asyncio.run(scenario())


def test_hot_settings_go_to_the_executor_as_a_message() -> None:
    mesos = FakeMesos()

    async def scenario() -> None:
        to_mesos = ToMesos(
            mesos,
            make_accept,
            report=lambda event: None,
            metrics=Metrics(),
            clock=FakeClock(),
            rng=Random(1),
            hot_settings={"agent-log-level": "debug"},
        )
        to_mesos.put(ConfigureExecutor("A1", "km-1", 7, **WHY))
        await to_mesos.send_next()

    asyncio.run(scenario())
    told = hotsettings.encode(HotSettings(settings_version=7, settings={"agent-log-level": "debug"}))
    assert mesos.calls == [mesos_calls.message("A1", "km-1", told)]
