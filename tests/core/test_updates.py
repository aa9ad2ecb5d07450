"""Status updates: what they do to their pod, when they are acknowledged, and whose they are."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kmsched.core.asking import FIRST_PAUSE_S
from kmsched.core.effects import AcknowledgeUpdate, AdoptPod, BindPod, KillTask, ReconcileTasks, ReportPod
from kmsched.core.events import (
    BindFailed,
    NodeChanged,
    OffersArrived,
    PodAdopted,
    PodBound,
    PodChanged,
    PodDeleted,
    TaskState,
)
from kmsched.core.model import Phase
from kmsched.core.pods import CALL_RETRY_S, ENDED_PATIENCE_S, KILL_LATER_S
from kmsched.core.resources import whole_counts
from kmsched.core.updates import ASK_STRAY_S, STRAY_PATIENCE_S, TERMINAL, TRIGGERS
from tests.core.values import EXECUTOR, PLENTY, Fold, bound, node, offer, pod, update

LOST = sorted(TERMINAL - {TaskState.FINISHED, TaskState.KILLED}, key=str)
ENDS = [TaskState.FINISHED, TaskState.KILLED, TaskState.FAILED]


def acked(fold: Fold) -> list[str]:
    return [effect.update_id for effect in fold.of(AcknowledgeUpdate)]


def killed(fold: Fold) -> list[tuple[str, str]]:
    return [(effect.task_id, effect.reason) for effect in fold.of(KillTask)]


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
    fold = Fold(pod(), nodes=(node(allocatable=whole_counts(PLENTY._replace(cpus=900, pods=110))),))
    (launch,) = fold.launch()
    fold.take(PodChanged(bound("x", scheduler_name="other")))
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s"))
    assert (fold.of(BindPod), acked(fold), fold.state_of()) == ([], ["s"], "pending")
    fold.tick()
    assert killed(fold) == [(launch.task_id, "TASK_STARTING SOURCE_EXECUTOR")]


def test_a_predecessors_task_is_claimed_by_its_waiting_pod() -> None:
    fold = Fold(pod(), nodes=(node(agent_id="A1"),))
    fold.take(update("u1.1.5", TaskState.STARTING, source="SOURCE_MASTER"))
    (bind,) = fold.of(BindPod)
    assert (bind.task_id, bind.node_name) == ("u1.1.5", "a1")


def test_a_predecessors_task_on_an_agent_that_is_not_known_yet_is_asked_for_again() -> None:
    fold = Fold(pod())
    fold.take(update("u1.1.5", TaskState.STARTING, source="SOURCE_MASTER"))
    assert fold.of(BindPod) == []
    fold.take(OffersArrived((offer(),)))
    fold.state.wants_cycle = False
    fold.tick(FIRST_PAUSE_S)
    assert (("u1.1.5", "A1"),) in [effect.tasks for effect in fold.of(ReconcileTasks)]
    fold.take(update("u1.1.5", TaskState.STARTING, source="SOURCE_MASTER"))
    assert [bind.task_id for bind in fold.of(BindPod)] == ["u1.1.5"]


def test_a_late_task_of_an_older_term_is_killed_when_its_pod_has_another() -> None:
    fold = Fold(pod())
    [launch] = fold.launch()
    fold.take(update("u1.1.5", TaskState.RUNNING, update_id="x"))
    assert (acked(fold), fold.state_of()) == (["x"], "launching")
    # a predecessor may have bound the pod to it, and our watch lags: a kill would end the pod
    fold.tick(STRAY_PATIENCE_S)
    assert killed(fold) == []
    fold.take(update(launch.task_id, TaskState.STARTING), PodBound("ns/u1", "u1", launch.task_id))
    fold.take(update("u1.1.5", TaskState.RUNNING, source="SOURCE_MASTER"))
    fold.tick(STRAY_PATIENCE_S)
    assert killed(fold) == [("u1.1.5", "u1.1.5 is the task of no task that ns/u1 needs")]


def test_the_task_of_a_deleted_pod_is_killed_until_it_is_terminal() -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(PodDeleted("ns/u1", "u1"))
    fold.tick(KILL_LATER_S - 0.1)
    assert killed(fold) == []  # its executor sees for itself
    fold.tick(0.1)
    assert killed(fold) == [(task_id, "the pod was deleted")]
    fold.tick(2.0)
    assert killed(fold) == [(task_id, "the pod was deleted")]
    fold.take(update(task_id, TaskState.KILLED, update_id="k"))
    assert acked(fold) == ["k"]
    fold.tick(100.0)
    assert killed(fold) == []


def test_a_task_without_a_pod_is_killed_after_a_moment() -> None:
    fold = Fold()
    fold.take(update("u9.1.5", TaskState.RUNNING, update_id="x"))
    assert acked(fold) == ["x"]
    fold.tick(STRAY_PATIENCE_S - 0.1)
    assert killed(fold) == []
    fold.tick(0.1)
    assert killed(fold) == [("u9.1.5", "u9.1.5 is the task of no pod")]


def test_a_task_whose_pod_comes_late_is_spared() -> None:
    fold = Fold()
    fold.take(update("u1.1.5", TaskState.RUNNING))
    fold.take(PodChanged(bound(task_id="u1.1.5")))
    fold.tick(STRAY_PATIENCE_S)
    assert (killed(fold), fold.state_of()) == ([], "checking")


def test_a_task_that_the_pod_names_is_never_killed_while_the_pod_is_there() -> None:
    fold = Fold(pod(), nodes=(node(),))
    old = fold.run()
    fold.take(update(old, TaskState.GONE, source="SOURCE_MASTER"))
    fold.launch(offer("o3"))
    fold.take(update(old, TaskState.RUNNING, update_id="again"))
    assert (acked(fold), fold.state_of()) == (["again"], "adopting")
    fold.tick(100.0)
    assert old not in [task_id for task_id, _ in killed(fold)]


def test_an_orphan_takes_its_own_task_back() -> None:
    fold = Fold(pod())
    old = fold.run()
    fold.take(update(old, TaskState.GONE, source="SOURCE_MASTER"))
    fold.take(update(old, TaskState.RUNNING, source="SOURCE_MASTER"))
    assert (fold.state_of(), fold.of(AdoptPod), fold.record().task_id) == ("running", [], old)


def test_an_orphan_takes_no_task_of_another_agent() -> None:
    fold = Fold(pod(), nodes=(node(), node("a2", agent_id="A2")))
    fold.take(update(fold.run(), TaskState.GONE, source="SOURCE_MASTER"))
    fold.take(update("u1.1.9", TaskState.STARTING, agent_id="A2"))
    assert (fold.state_of(), fold.of(AdoptPod)) == ("orphaned", [])


def test_the_task_of_a_finished_pod_is_waited_for_not_killed() -> None:
    fold = Fold(bound(task_id="u1.1.5", phase=Phase.SUCCEEDED))
    fold.take(update("u1.1.5", TaskState.RUNNING))
    fold.tick(100.0)
    assert killed(fold) == []
    fold.take(update("u1.1.5", TaskState.FINISHED, update_id="f"))
    assert (acked(fold), fold.state_of(), fold.record().task_id) == (["f"], "done", "")


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


def test_a_task_that_may_adopt_a_pod_that_is_checked_is_not_killed_but_asked_for() -> None:
    """A predecessor launched it; its patch may be made already, and a kill would then end the pod."""
    fold = Fold(bound(task_id="u1.1.1"), nodes=(node(agent_id="A1"),))
    fold.take(update("u1.1.2", TaskState.STARTING))
    assert not fold.state.killing.victims
    fold.take(update("u1.1.1", TaskState.GONE, source="SOURCE_MASTER"))
    assert fold.state_of() == "orphaned"
    fold.tick(ASK_STRAY_S)
    assert ("u1.1.2", "A1") in [task for effect in fold.of(ReconcileTasks) for task in effect.tasks]
    fold.take(update("u1.1.2", TaskState.STARTING))
    assert [effect.task_id for effect in fold.of(AdoptPod)] == ["u1.1.2"]


def test_a_second_task_of_a_pod_whose_own_one_lives_is_killed_after_all() -> None:
    fold = Fold(bound(task_id="u1.1.1"), nodes=(node(agent_id="A1"),))
    fold.take(update("u1.1.2", TaskState.STARTING), update("u1.1.1", TaskState.RUNNING))
    fold.take(update("u1.1.2", TaskState.STARTING))
    fold.tick(STRAY_PATIENCE_S)
    assert [task_id for task_id, _ in killed(fold)] == ["u1.1.2"]


def test_a_task_of_an_orphan_on_an_agent_that_nothing_has_named_is_asked_for_again() -> None:
    fold = Fold(bound(task_id="u1.1.1", agent_id="A0"))
    fold.take(update("u1.1.1", TaskState.GONE, source="SOURCE_MASTER"), update("u1.1.2", TaskState.RUNNING))
    assert not fold.state.killing.victims
    fold.take(NodeChanged(node(agent_id="A1")), update("u1.1.2", TaskState.RUNNING))
    assert [effect.task_id for effect in fold.of(AdoptPod)] == ["u1.1.2"]


def test_the_pod_itself_names_the_agent_of_its_node_where_nothing_else_does() -> None:
    fold = Fold(bound(task_id="u1.1.1"))
    fold.take(update("u1.1.1", TaskState.GONE, source="SOURCE_MASTER"))
    fold.take(update("u1.1.2", TaskState.RUNNING), update("u1.1.3", TaskState.RUNNING))
    assert [effect.task_id for effect in fold.of(AdoptPod)] == ["u1.1.2"]
    # until the patch is made the pod may name the other one
    assert not fold.state.killing.victims
    fold.take(PodAdopted("ns/u1", "u1", "u1.1.2"), update("u1.1.3", TaskState.RUNNING))
    assert list(fold.state.killing.victims) == ["u1.1.3"]
