"""The fold: refusals, failures and timers of effects, and the subscription's end."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import structs

from kmsched.core.effects import AcceptOffers, AdoptPod, BindPod, DeclineOffers, KillTask, ReconcileTasks
from kmsched.core.events import (
    AcceptRefused,
    AdoptFailed,
    AdoptRefused,
    AgentFailed,
    BindRefused,
    Disconnected,
    Event,
    OffersArrived,
    PodChanged,
    PodDeleted,
    Subscribed,
    TaskState,
    Ticked,
)
from kmsched.core.pods import ASK_SHARE, CALL_RETRY_S
from kmsched.core.resources import Resources
from kmsched.core.state import State
from kmsched.core.step import _HANDLERS, ATTEMPTS, UNREADABLE_REFUSE_S, step
from kmsched.core.tasks import PodState
from tests.core.values import SETTINGS, SMALL, Fold, bound, node, offer, pod, update


def refused(task_id: str) -> BindRefused:
    return BindRefused("ns/u1", "u1", task_id, "409 the object has been modified")


def adopting() -> tuple[Fold, str]:
    fold = Fold(pod(), nodes=(node(),))
    fold.take(update(fold.run(), TaskState.LOST, source="SOURCE_AGENT"))
    (launch,) = fold.launch(offer("o3"))
    fold.take(update(launch.task_id, TaskState.STARTING))
    return fold, launch.task_id


def test_every_event_is_taken() -> None:
    assert set(_HANDLERS) == set(get_args(Event))


def test_a_refused_binding_of_a_pod_that_has_changed_but_fits_is_sent_again_with_its_version() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodChanged(pod(resource_version="7")), refused(task_id))
    assert [bind.resource_version for bind in fold.of(BindPod)] == ["7"]
    assert fold.record().history[-1][1] is PodState.BINDING


def test_a_pod_that_has_outgrown_its_task_is_queued_again_and_the_task_killed() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    grown = structs.replace(SMALL, cpus=SMALL.cpus + 1)
    fold.take(PodChanged(pod(resource_version="7", requests=grown)), refused(task_id))
    assert (fold.state_of(), fold.of(BindPod)) == ("pending", [])
    assert fold.state.queue.counts()["backoff"] == 1
    fold.tick()
    words = "the Binding was refused: 409 the object has been modified"
    assert [(kill.task_id, kill.reason) for kill in fold.of(KillTask)] == [(task_id, words)]


def test_a_binding_is_not_refused_for_ever() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    for _ in range(ATTEMPTS - 1):
        fold.take(refused(task_id))
        assert fold.state_of() == "binding"
    fold.take(refused(task_id))
    assert fold.state_of() == "pending"


def test_a_pod_that_is_gone_at_the_binding_leaves_only_its_task_to_kill() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodDeleted("ns/u1", "u1"), refused(task_id))
    assert fold.state.pods == {}
    fold.tick()
    assert [kill.task_id for kill in fold.of(KillTask)] == [task_id]


def test_a_patch_that_was_refused_is_sent_again_and_one_that_failed_after_a_pause() -> None:
    fold, task_id = adopting()
    fold.take(AdoptRefused("ns/u1", "u1", task_id, "409"))
    assert len(fold.of(AdoptPod)) == 1
    fold.take(AdoptFailed("ns/u1", "u1", task_id, "timeout"))
    assert fold.of(AdoptPod) == []
    fold.tick(CALL_RETRY_S)
    assert len(fold.of(AdoptPod)) == 1


def test_patches_that_go_on_being_refused_pause() -> None:
    fold, task_id = adopting()
    sent = 0
    for _ in range(3 * ATTEMPTS):
        fold.take(AdoptRefused("ns/u1", "u1", task_id, "409"))
        sent += len(fold.of(AdoptPod))
    assert sent == ATTEMPTS - 1
    fold.tick(CALL_RETRY_S)
    assert len(fold.of(AdoptPod)) == 1


def test_the_outcome_for_another_task_means_nothing() -> None:
    fold = Fold(pod())
    fold.start()
    fold.take(refused("u1.1.9"))
    assert (fold.effects, fold.state_of()) == ([], "binding")


def test_an_accept_that_was_refused_never_ran() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch()
    fold.take(AcceptRefused((launch.task_id,), "no subscription"))
    assert (fold.state_of(), fold.state.queue.counts()["backoff"]) == ("pending", 1)
    fold.tick(SETTINGS.backoff_first_s)
    assert fold.state.queue.counts()["backoff"] == 0


def test_a_silent_launch_is_asked_for_then_killed_and_queued_again() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch()
    fold.tick(SETTINGS.launch_timeout_s * ASK_SHARE)
    assert [effect.tasks for effect in fold.of(ReconcileTasks)] == [((launch.task_id, "A1"),)]
    fold.tick(SETTINGS.launch_timeout_s)
    assert fold.state_of() == "pending"
    words = f"nothing was heard of task {launch.task_id}"
    assert [(kill.task_id, kill.reason) for kill in fold.of(KillTask)] == [(launch.task_id, words)]


def test_backoff_grows_to_its_bound() -> None:
    fold = Fold(pod())
    pauses = []
    for number in range(9):
        (launch,) = fold.launch(offer(f"o{number}"))
        fold.take(AcceptRefused((launch.task_id,), "refused"))
        pauses.append(fold.record().backoff_s)
        fold.tick(pauses[-1])
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_nothing_is_killed_or_asked_without_a_subscription() -> None:
    fold = Fold(pod())
    fold.start()
    fold.take(PodDeleted("ns/u1", "u1"), Disconnected("the master went"))
    fold.tick(60.0)
    assert fold.effects == []
    fold.take(Subscribed("F"))
    fold.tick(0.1)
    assert len(fold.of(KillTask)) == 1


def test_nothing_is_killed_before_the_pods_are_known() -> None:
    state = State(SETTINGS, term=2)
    step(state, Subscribed("F"), 0.0)
    step(state, update("u1.1.1", TaskState.RUNNING), 0.0)
    assert not [effect for effect in step(state, Ticked(), 30.0) if isinstance(effect, KillTask)]


def test_the_offers_of_an_agent_that_mesos_removed_are_given_back() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(),)), AgentFailed("A1"))
    assert fold.of(DeclineOffers) == [DeclineOffers(("o1",), 0.0, cause="agent failed", reason="agent A1 was removed")]
    assert fold.state.offers.agents == {}


def test_offers_that_cannot_be_read_are_given_back_for_long() -> None:
    fold = Fold()
    fold.take(OffersArrived((), unreadable=("o1", "o2")))
    (decline,) = fold.of(DeclineOffers)
    assert (decline.offer_ids, decline.refuse_s, decline.cause) == (("o1", "o2"), UNREADABLE_REFUSE_S, "unreadable")
    assert fold.state.offers.agents == {}


@pytest.mark.parametrize("state", [TaskState.LOST, TaskState.FAILED])
def test_a_binding_on_its_way_when_its_task_ends_is_found_by_the_watch(state: TaskState) -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(update(task_id, state, source="SOURCE_AGENT"))
    assert fold.state_of() == "pending"
    fold.take(PodChanged(bound(task_id=task_id, resource_version="2")))
    assert fold.state_of() == "checking"
    fold.take(update(task_id, TaskState.GONE, source="SOURCE_MASTER"))
    assert fold.state_of() == "orphaned"


def test_equal_input_gives_equal_output() -> None:
    def run() -> list[str]:
        fold = Fold(*(pod(f"u{n}", requests=Resources(cpus=300, mem=50_000, pods=1)) for n in range(9)))
        return [launch.task_id for launch in fold.launch(*(offer(f"o{n}", f"A{n}") for n in range(3)))]

    assert run() == run()


def unreachable() -> Fold:
    fold = Fold(bound(task_id="u1.1.1"), nodes=(node(),))
    fold.take(update("u1.1.1", TaskState.UNREACHABLE, source="SOURCE_MASTER"))
    assert fold.state_of() == "unreachable"
    return fold


def test_a_host_that_comes_back_as_another_agent_has_lost_the_tasks_of_the_old_one() -> None:
    fold = unreachable()
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2"))))
    assert fold.state_of() == "unreachable"
    fold.take(OffersArrived((offer("o3", "A9", hostname="A1"),)))
    assert fold.state_of() == "orphaned"
    fold.tick()
    (accept,) = fold.of(AcceptOffers)
    assert (accept.agent_id, [launch.mode for launch in accept.launches]) == ("A9", ["adopt"])


def test_an_idle_scheduler_looks_now_and_then_whether_such_a_host_has_come_back() -> None:
    fold = unreachable()
    asked = [type(effect).__name__ for _ in range(135) for effect in fold.tick(0.5)]
    assert [kind for kind in asked if kind != "ReconcileTasks"] == ["ReviveOffers", "SuppressOffers"] * 3
