"""What is asked after a subscription, when the answers are complete, and what waits for that."""

from __future__ import annotations

from kmsched.core.effects import AcceptOffers, ReconcileTasks
from kmsched.core.events import (
    Disconnected,
    NodesListed,
    OffersArrived,
    PodsListed,
    Resumed,
    Subscribed,
    TaskState,
    Ticked,
)
from kmsched.core.reconcile import SETTLE_TIMEOUT_S
from kmsched.core.state import Link, State
from kmsched.core.step import step
from tests.core.values import SETTINGS, Fold, bound, offer, pod, update


def test_after_a_subscription_all_is_asked_and_an_end_mark_is_set() -> None:
    state = State(SETTINGS, term=2)
    everything, end_mark = step(state, Subscribed("F"), 0.0)
    assert isinstance(everything, ReconcileTasks) and isinstance(end_mark, ReconcileTasks)
    assert (everything.tasks, everything.reason) == ((), "subscribed: every task")
    assert (end_mark.tasks, end_mark.reason) == ((("sentinel.2.1", "sentinel"),), "end mark")


def test_after_a_time_without_the_right_to_act_all_is_asked_again() -> None:
    state = State(SETTINGS, term=2)
    step(state, Subscribed("F"), 0.0)
    step(state, Ticked(), SETTLE_TIMEOUT_S)
    assert state.link is Link.ACTIVE
    everything, _ = step(state, Resumed(), SETTLE_TIMEOUT_S + 1)
    assert isinstance(everything, ReconcileTasks)
    assert everything.reason == "resumed: every task"
    step(state, Disconnected("the master went"), SETTLE_TIMEOUT_S + 2)
    assert step(state, Resumed(), SETTLE_TIMEOUT_S + 3) == []


def test_after_a_time_without_the_right_to_act_nothing_is_launched_before_the_answers() -> None:
    state = State(SETTINGS, term=2)
    step(state, Subscribed("F"), 0.0)
    step(state, Ticked(), SETTLE_TIMEOUT_S)
    step(state, Resumed(), SETTLE_TIMEOUT_S + 1)
    assert state.link is Link.RECONCILING


def test_nothing_is_launched_before_the_end_mark_is_answered() -> None:
    fold = Fold(pod())
    fold.take(Disconnected("the master went"), Subscribed("F"), OffersArrived((offer(),)))
    fold.tick(0.1)
    assert fold.of(AcceptOffers) == []
    fold.take(update("sentinel.2.1", TaskState.UNKNOWN))
    assert fold.state.link is Link.RECONCILING  # an older mark says nothing
    fold.settle()
    fold.tick()
    assert len(fold.of(AcceptOffers)) == 1


def test_the_snapshot_is_asked_for_again_and_given_up_in_the_end() -> None:
    state = State(SETTINGS, term=2)
    step(state, Subscribed("F"), 0.0)
    times = []
    for tenth in range(1, 700):
        effects = step(state, Ticked(), tenth / 10)
        if any(isinstance(e, ReconcileTasks) and e.reason == "end mark" for e in effects):
            times.append(tenth / 10)
    assert times[:4] == [2.0, 6.0, 14.0, 29.0]
    assert times[-1] < SETTLE_TIMEOUT_S
    assert state.link is Link.ACTIVE


def test_the_task_of_a_bound_pod_is_asked_for_until_mesos_tells() -> None:
    fold = Fold(bound(task_id="u1.1.7"))
    fold.tick()
    assert (("u1.1.7", "A1"),) in [effect.tasks for effect in fold.of(ReconcileTasks)]
    assert fold.state_of() == "checking"
    fold.take(update("u1.1.7", TaskState.RUNNING, source="SOURCE_MASTER"))
    assert fold.state_of() == "running"
    fold.tick(60.0)
    assert fold.of(ReconcileTasks) == []


def test_later_all_is_asked_from_time_to_time() -> None:
    fold = Fold()
    fold.tick(SETTINGS.reconcile_interval_s)
    assert [effect.reason for effect in fold.of(ReconcileTasks)] == ["periodic implicit reconciliation"]
    fold.tick(1.0)
    assert fold.of(ReconcileTasks) == []


def test_known_tasks_are_asked_for_from_time_to_time_too() -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.tick(SETTINGS.reconcile_interval_s)
    assert [effect.tasks for effect in fold.of(ReconcileTasks)] == [()]
    fold.tick(0.1)
    assert [effect.tasks for effect in fold.of(ReconcileTasks)] == [((task_id, "A1"),)]


def test_lists_come_before_the_subscription_and_what_they_lack_is_gone() -> None:
    fold = Fold(pod("u1"), pod("u2"))
    fold.take(PodsListed((pod("u2"),)), NodesListed(()))
    assert list(fold.state.pods) == ["u2"]
