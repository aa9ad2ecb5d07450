"""Pods and Nodes as the API server tells them: whose a pod is, and what a change of it means."""

from __future__ import annotations

from kmsched.core.effects import KillTask
from kmsched.core.events import BindRefused, NodeChanged, NodeDeleted, PodChanged, PodDeleted, PodsListed, TaskState
from kmsched.core.model import Phase
from kmsched.core.resources import Resources, whole_counts
from tests.core.values import SMALL, Fold, bound, node, pod, update


def test_whose_a_pod_is() -> None:
    fold = Fold(
        pod("waits"),
        pod("theirs", scheduler_name="other"),
        bound("set-by-hand"),
        bound("static", is_static=True),
        bound("ours", task_id="ours.1.1"),
        bound("not-its-own", task_id="someone.1.1"),
        bound("over", task_id="over.1.1", phase=Phase.SUCCEEDED),
    )
    assert {uid: record.state.value for uid, record in fold.state.pods.items()} == {
        "waits": "pending",
        "theirs": "counted",
        "set-by-hand": "counted",
        "static": "counted",
        "ours": "checking",
        "not-its-own": "counted",
        "over": "done",
    }


def test_what_runs_on_a_node_is_counted_until_it_ends() -> None:
    fold = Fold(bound("x", scheduler_name="other"), bound("y", is_static=True))
    assert fold.state.usage["a1"] == whole_counts(SMALL.plus(SMALL))
    fold.take(PodChanged(bound("x", scheduler_name="other", resource_version="2", phase=Phase.FAILED)))
    assert fold.state.usage["a1"] == whole_counts(SMALL)
    fold.take(PodDeleted("ns/y", "y"))
    assert fold.state.usage == {}


def test_a_pod_that_grows_is_counted_with_its_new_size() -> None:
    fold = Fold(bound("x", scheduler_name="other"))
    fold.take(
        PodChanged(bound("x", scheduler_name="other", resource_version="2", requests=Resources(cpus=900, pods=1)))
    )
    assert fold.state.usage["a1"].cpu == 900


def test_somebody_else_binds_a_pod_that_was_being_bound() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodChanged(bound(resource_version="2")))
    fold.take(BindRefused("ns/u1", "u1", task_id, "409"))
    assert fold.state_of() == "counted"
    fold.tick()
    assert [(kill.task_id, kill.reason) for kill in fold.of(KillTask)] == [(task_id, "somebody else bound it to a1")]


def test_a_predecessors_binding_wins_and_its_task_is_the_current_one() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodChanged(bound(task_id="u1.1.4", resource_version="2")))
    assert (fold.state_of(), fold.record().task_id) == ("checking", "u1.1.4")
    fold.tick()
    assert [kill.task_id for kill in fold.of(KillTask)] == [task_id]


def test_older_news_do_not_undo_newer() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodChanged(bound(task_id=task_id, resource_version="12")))
    fold.take(PodChanged(pod(resource_version="9")))
    assert fold.record().pod.is_bound


def test_an_answer_that_is_older_than_the_deletion_brings_no_pod_back() -> None:
    fold = Fold(pod())
    fold.take(PodDeleted("ns/u1", "u1"), PodChanged(pod(resource_version="5")))
    assert fold.state.pods == {}
    fold.take(PodsListed((pod(resource_version="6"),)))
    assert fold.state_of() == "pending"


def test_a_pod_of_the_same_name_is_another_pod() -> None:
    fold = Fold(pod("u1", key="ns/web"))
    task_id = fold.start()
    fold.take(PodChanged(pod("u2", key="ns/web")))
    assert list(fold.state.pods) == ["u2"]
    assert fold.state.uid_of == {"ns/web": "u2"}
    fold.tick()
    assert [kill.task_id for kill in fold.of(KillTask)] == [task_id]
    fold.take(PodDeleted("ns/web", "u1"))
    assert list(fold.state.pods) == ["u2"]


def test_old_news_of_a_predecessor_of_the_same_name_do_not_end_a_pod() -> None:
    fold = Fold(pod("u2", key="ns/web", resource_version="41"))
    fold.take(PodChanged(pod("u1", key="ns/web", resource_version="20")), PodDeleted("ns/web", "u1"))
    assert list(fold.state.pods) == ["u2"]


def test_a_list_says_nothing_of_pods_that_are_younger_than_it() -> None:
    fold = Fold(pod("u1", resource_version="41"), pod("u2", resource_version="39"))
    fold.take(PodsListed((), resource_version="40"))
    assert list(fold.state.pods) == ["u1"]


def test_a_pod_that_fails_before_it_is_bound_is_done_and_its_task_is_killed() -> None:
    fold = Fold(pod())
    task_id = fold.start()
    fold.take(PodChanged(pod(resource_version="2", phase=Phase.FAILED)))
    assert fold.state_of() == "done"
    fold.tick()
    assert [kill.task_id for kill in fold.of(KillTask)] == [task_id]
    fold.take(update(task_id, TaskState.KILLED))
    assert fold.record().task_id == ""


def test_nodes_come_change_and_go() -> None:
    fold = Fold(nodes=(node(),))
    fold.take(NodeChanged(node(is_unschedulable=True)))
    assert fold.state.nodes["a1"].is_unschedulable
    fold.take(NodeDeleted("a1"), NodeDeleted("a1"))
    assert fold.state.nodes == {}
