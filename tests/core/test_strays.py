"""Tasks and the pods that they are of: those of a predecessor, of pods that have gone, and second ones."""

from __future__ import annotations

from kmsched.core.asking import FIRST_PAUSE_S
from kmsched.core.effects import AdoptPod, BindPod, ReconcileTasks
from kmsched.core.events import NodeChanged, OffersArrived, PodAdopted, PodBound, PodChanged, PodDeleted, TaskState
from kmsched.core.model import Phase
from kmsched.core.pods import KILL_LATER_S
from kmsched.core.updates import ASK_STRAY_S, STRAY_PATIENCE_S
from tests.core.values import Fold, acked, bound, killed, node, offer, pod, update


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
