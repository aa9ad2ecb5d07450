"""Status updates: what they do to their pod, when they are acknowledged, and whose they are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec import structs

from kmsched.core.effects import AdoptPod, BindPod, ReconcileTasks, ReportPod
from kmsched.core.events import (
    BindFailed,
    PodAdopted,
    PodBound,
    PodChanged,
    TaskState,
)
from kmsched.core.model import Phase
from kmsched.core.pods import CALL_RETRY_S, ENDED_PATIENCE_S
from kmsched.core.resources import whole_counts
from kmsched.core.updates import TERMINAL, TRIGGERS
from tests.core.values import EXECUTOR, PLENTY, Fold, acked, bound, killed, node, offer, pod, update

LOST = sorted(TERMINAL - {TaskState.FINISHED, TaskState.KILLED}, key=str)
ENDS = [TaskState.FINISHED, TaskState.KILLED, TaskState.FAILED]


def test_every_state_of_mesos_has_a_meaning() -> None:
    assert set(TRIGGERS) == set(TaskState)


def test_starting_is_acknowledged_when_the_pod_is_bound() -> None:
    fold = Fold(pod())
    task_id = fold.start("s1")
    assert (acked(fold), len(fold.of(BindPod))) == ([], 1)
    fold.take(update(task_id, TaskState.STARTING, update_id="s1"))
    assert fold.effects == []
    fold.take(PodBound("ns/u1", "u1", task_id))
    assert (acked(fold), fold.state_of()) == (["s1"], "bound")


def test_starting_is_acknowledged_when_the_binding_has_failed_once_and_it_is_tried_again() -> None:
    fold = Fold(pod())
    task_id = fold.start("s1")
    fold.take(BindFailed("ns/u1", "u1", task_id, "timeout"))
    assert (acked(fold), fold.of(BindPod)) == (["s1"], [])
    fold.tick(CALL_RETRY_S)
    assert [bind.task_id for bind in fold.of(BindPod)] == [task_id]
    fold.take(PodChanged(bound(task_id=task_id, resource_version="2")))
    assert fold.state_of() == "bound"


def test_running_alone_binds_too_and_the_pod_runs_once_it_is_bound() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch()
    fold.take(update(launch.task_id, TaskState.RUNNING, update_id="r1"))
    assert (acked(fold), len(fold.of(BindPod))) == ([], 1)
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s1"))
    fold.take(PodBound("ns/u1", "u1", launch.task_id))
    assert (acked(fold), fold.state_of()) == (["r1", "s1"], "running")


@pytest.mark.parametrize("state", LOST)
def test_a_loss_says_nothing_of_containers(state: TaskState) -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(update(task_id, state, source="SOURCE_AGENT", update_id="x"))
    assert (fold.state_of(), acked(fold), fold.record().task_id) == ("orphaned", ["x"], "")


@pytest.mark.parametrize("state", ENDS)
def test_the_executors_own_word_is_an_end_and_the_pod_confirms_it(state: TaskState) -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(update(task_id, state, update_id="x"))
    assert (fold.state_of(), acked(fold)) == ("ended", ["x"])
    fold.take(PodChanged(bound(task_id=task_id, resource_version="9", phase=Phase.SUCCEEDED)))
    assert fold.state_of() == "done"


def test_an_end_that_the_pod_does_not_confirm_makes_it_an_orphan() -> None:
    fold = Fold(pod())
    fold.take(update(fold.run(), TaskState.FINISHED))
    fold.tick(ENDED_PATIENCE_S - 0.1)
    assert fold.state_of() == "ended"
    fold.tick(0.1)
    assert fold.state_of() == "orphaned"
    assert fold.record().history[-1][2] == "its executor reported the end, the pod goes on"


def test_two_terminal_updates_with_different_reasons_are_both_acknowledged() -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(
        update(task_id, TaskState.FAILED, source="SOURCE_AGENT", reason="REASON_EXECUTOR_TERMINATED", update_id="a")
    )
    assert (fold.state_of(), acked(fold)) == ("orphaned", ["a"])
    fold.take(update(task_id, TaskState.GONE, source="SOURCE_MASTER", reason="REASON_SLAVE_REMOVED", update_id="b"))
    assert (fold.state_of(), acked(fold), killed(fold)) == ("orphaned", ["b"], [])


def test_an_orphan_is_adopted_on_its_agent_by_a_new_task_and_its_annotation_patched() -> None:
    fold = Fold(pod(), nodes=(node(),))
    old = fold.run()
    fold.take(update(old, TaskState.FAILED, source="SOURCE_AGENT", reason="REASON_EXECUTOR_TERMINATED"))
    (launch,) = fold.launch(offer("o2", "A2"), offer("o3"))
    assert (launch.mode, launch.pod_uid) == ("adopt", "u1")
    assert fold.record().node_name == "a1"
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s2"))
    (patch,) = fold.of(AdoptPod)
    assert (patch.old_task_id, patch.task_id, patch.resource_version) == (old, launch.task_id, "2")
    assert (acked(fold), fold.state_of()) == ([], "adopting")
    fold.take(update(launch.task_id, TaskState.RUNNING, update_id="r2"))
    assert fold.effects == []
    fold.take(PodAdopted("ns/u1", "u1", launch.task_id))
    assert (acked(fold), fold.state_of()) == (["s2", "r2"], "running")


def test_an_adoption_that_was_heard_of_is_not_silent() -> None:
    fold = Fold(pod(), nodes=(node(),))
    fold.take(update(fold.run(), TaskState.LOST, source="SOURCE_AGENT"))
    (launch,) = fold.launch(offer("o3"))
    fold.take(update(launch.task_id, TaskState.STARTING))
    fold.tick(500.0)
    assert (fold.state_of(), killed(fold)) == ("adopting", [])


def test_a_dropped_adoption_is_tried_again_at_once() -> None:
    fold = Fold(pod(), nodes=(node(),))
    fold.take(update(fold.run(), TaskState.LOST, source="SOURCE_AGENT"))
    (first,) = fold.launch(offer("o3"))
    fold.take(update(first.task_id, TaskState.DROPPED, source="SOURCE_AGENT"))
    (second,) = fold.launch(offer("o4"))
    assert second.mode == "adopt"


def test_an_adoption_that_its_executor_cannot_make_is_told_and_tried_again_after_a_pause() -> None:
    fold = Fold(bound(task_id="u1.1.5"))
    fold.take(update("u1.1.5", TaskState.GONE, source="SOURCE_MASTER"))
    (launch,) = fold.launch()
    fold.take(update(launch.task_id, TaskState.FAILED, source="SOURCE_EXECUTOR", message="km: sha256 a fetched, b"))
    (report,) = fold.of(ReportPod)
    assert report.topic == "FailedLaunch"
    assert report.message.startswith("the launch on a1 that was to take it over failed: TASK_FAILED SOURCE_EXECUTOR km")
    assert (fold.launch(offer("o2")), fold.state_of()) == ([], "ended")
    fold.tick(20.0)
    assert fold.state_of() == "adopting"


def test_a_pod_is_not_bound_where_its_room_was_taken_meanwhile() -> None:
    fold = Fold(pod(), nodes=(node(allocatable=whole_counts(structs.replace(PLENTY, cpus=900, pods=110))),))
    (launch,) = fold.launch()
    fold.take(PodChanged(bound("x", scheduler_name="other")))
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s"))
    assert (fold.of(BindPod), acked(fold), fold.state_of()) == ([], ["s"], "pending")
    fold.tick()
    assert killed(fold) == [(launch.task_id, "TASK_STARTING SOURCE_EXECUTOR")]


def test_a_launch_that_fails_is_told_and_tried_again_after_a_pause() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch()
    fold.take(update(launch.task_id, TaskState.ERROR, source="SOURCE_MASTER", message="no such role"))
    (report,) = fold.of(ReportPod)
    assert (report.topic, report.kind) == ("FailedLaunch", "Warning")
    assert report.message == "the launch on a1 failed: TASK_ERROR SOURCE_MASTER no such role"
    assert fold.state.queue.counts()["backoff"] == 1


def test_an_agent_that_is_out_of_sight_costs_no_pod() -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(update(task_id, TaskState.UNREACHABLE, source="SOURCE_MASTER"))
    assert (fold.state_of(), killed(fold)) == ("unreachable", [])
    fold.take(update(task_id, TaskState.RUNNING, source="SOURCE_MASTER"))
    assert fold.state_of() == "running"


def test_an_unreachable_task_is_asked_for_until_something_else_is_heard() -> None:
    fold = Fold(bound(task_id="u1.1.5"))
    fold.take(update("u1.1.5", TaskState.UNREACHABLE, source="SOURCE_MASTER"))
    times = []
    for second in range(100):
        fold.tick(1.0)
        if (("u1.1.5", "A1"),) in [effect.tasks for effect in fold.of(ReconcileTasks)]:
            times.append(second)
            fold.take(update("u1.1.5", TaskState.UNREACHABLE, source="SOURCE_MASTER"))
    assert [after - before for before, after in pairwise(times)] == [1, 2, 4, 8, 16, 30, 30]
    fold.take(update("u1.1.5", TaskState.GONE, source="SOURCE_MASTER"))
    assert fold.state_of() == "orphaned"


def test_late_news_of_an_ended_executor_does_not_bar_the_agent_for_ever() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(update(task_id, TaskState.LOST, source="SOURCE_AGENT", reason="REASON_EXECUTOR_TERMINATED"))
    fold.tick(1.0)
    listed = frozenset({EXECUTOR})
    assert fold.launch(offer("o2", executor_ids=listed)) == []
    fold.tick(1.0)
    assert fold.state.queue.counts()["unschedulable"] == 1
    fold.now += 10.0
    assert len(fold.launch(offer("o3", executor_ids=listed))) == 1
