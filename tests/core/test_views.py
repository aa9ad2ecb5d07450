"""What is told of pods: of each state why, of lists a part, and of those that wait how many for what."""

from __future__ import annotations

import pytest
from msgspec import structs

from kmsched.core.events import Disconnected, OffersArrived, PodChanged, Subscribed, TaskState
from kmsched.core.model import Phase
from kmsched.core.resources import Resources
from kmsched.core.state import State
from kmsched.core.tasks import PodState
from kmsched.core.views import MAX_VETOES, MAX_WORDED, Now, Part, Reasons, explain_pod, pending, pending_by_kind, pods
from kmsched.errors import NotFound, Unavailable
from tests.core.values import SETTINGS, Fold, bound, node, offer, pod, update

HUGE = Resources(cpus=900_000, mem=100_000, pods=1)


def test_what_pods_wait_for_is_counted_by_one_word_and_told_in_many() -> None:
    fold = Fold(
        pod("big1", requests=HUGE),
        pod("big2", requests=HUGE),
        pod("picky", node_selector={"disk": "ssd"}),
        pod("gated", is_gated=True),
    )
    assert pending_by_kind(fold.state) == {"active": 3, "gated": 1}
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2"))))
    fold.tick()
    assert pending_by_kind(fold.state) == {"offers": 2, "NodeAffinity": 1, "gated": 1}
    told = pending(fold.state, 2, fold.moment)
    assert told["pods"] == 4
    most = told["reasons"][0]
    assert (most["kind"], most["pods"], most["example"]) == ("offers", 2, "ns/big1")
    assert "insufficient cpu" in most["reason"]
    assert len(told["reasons"]) == 2


def test_nothing_waits() -> None:
    assert pending(Fold().state, 5, Now(0.0, 0.0)) == {"pods": 0, "reasons": []}


def reason(fold: Fold, key: str = "ns/u1") -> str:
    return str(explain_pod(fold.state, key, fold.moment)["reason"])


# --- one pod


def test_a_pod_in_each_state_of_its_way_says_where_it_is_and_why() -> None:
    fold = Fold(pod())
    assert reason(fold) == "is tried in the next cycle"
    fold.tick()
    assert reason(fold) == "0/0 agents: no agent has offered anything yet"
    (launch,) = fold.launch()
    assert reason(fold) == "its task was launched on a1; the executor is not ready yet"
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s1"))
    assert reason(fold) == "the executor on a1 is ready; the Binding is on its way"
    fold.take(PodChanged(bound(task_id=launch.task_id, resource_version="2")))
    assert reason(fold) == "bound to a1; kubelet starts its containers"
    fold.take(update(launch.task_id, TaskState.RUNNING))
    assert reason(fold) == "runs on a1"
    fold.take(update(launch.task_id, TaskState.UNREACHABLE, source="SOURCE_MASTER"))
    assert reason(fold) == "the agent of a1 is unreachable for Mesos; the pod is left alone"
    fold.take(update(launch.task_id, TaskState.GONE, source="SOURCE_MASTER"))
    assert reason(fold) == "runs on a1 without a task: waits for an offer of its agent"
    fold.launch(offer("o2"))
    assert reason(fold) == "runs on a1; a new task takes it over"
    task_id = fold.record().task_id
    fold.take(update(task_id, TaskState.FINISHED))
    assert reason(fold) == "its executor reported the end; the pod itself does not say so yet"
    ended = bound(task_id=launch.task_id, resource_version="3", phase=Phase.FAILED, reason="Evicted")
    fold.take(PodChanged(ended))
    assert reason(fold) == "it has ended: Failed (Evicted)"


def test_a_pod_whose_task_is_being_asked_for() -> None:
    fold = Fold(bound(task_id="u1.1.1"))
    assert reason(fold) == "bound to a1; Mesos is being asked for its task"


def test_a_pod_that_waits_by_itself_says_for_what() -> None:
    fold = Fold(pod("gated", is_gated=True), pod("leaving", is_terminating=True))
    assert reason(fold, "ns/gated") == "has schedulingGates, which somebody has to take away"
    assert reason(fold, "ns/leaving") == "is being deleted"


def test_a_pod_whose_launch_failed_says_why_and_when_it_is_tried_again() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch()
    fold.take(update(launch.task_id, TaskState.FAILED, source="SOURCE_AGENT", message="no such file"))
    assert reason(fold) == "its last launch failed (TASK_FAILED SOURCE_AGENT no such file); it is tried again in 1 s"


def test_without_mesos_it_is_not_the_agents_fault() -> None:
    fold = Fold(pod())
    fold.take(Disconnected("the master went"))
    assert reason(fold).startswith("this scheduler has no subscription with a Mesos master, so it places nothing now")
    fold.take(Subscribed("F"))
    assert reason(fold) == "waits until Mesos has told the state of all tasks"


def test_pods_of_others_say_whose_they_are() -> None:
    fold = Fold(
        pod("theirs", scheduler_name="other"),
        pod("there", scheduler_name="other", node_name="a1"),
        pod("static", is_static=True, node_name="a1"),
        pod("by-hand", node_name="a1"),
        pod("over", scheduler_name="other", phase=Phase.SUCCEEDED),
    )
    whose = "not this scheduler's pod (its schedulerName is 'other', and 'default-scheduler' is placed here)"
    assert reason(fold, "ns/theirs") == f"{whose}: it waits for another one"
    assert reason(fold, "ns/there") == f"{whose}: it only takes room on a1"
    assert reason(fold, "ns/static") == "a static pod, which its node's kubelet made: it only takes room on a1"
    assert reason(fold, "ns/by-hand") == "not bound by this scheduler: it only takes room on a1"
    assert reason(fold, "ns/over") == f"it has ended: Succeeded; {whose}"


def test_no_state_is_without_words() -> None:
    fold = Fold(pod())
    for state in set(PodState) - {PodState.GONE}:
        fold.record().state = state
        assert reason(fold), state


def test_times_are_told_on_both_clocks() -> None:
    fold = Fold(pod())
    first = fold.now
    fold.tick(5.0)
    fold.run()
    fold.now += 10.0
    told = explain_pod(fold.state, "ns/u1", fold.moment)
    assert [each["state"] for each in told["history"]] == ["pending", "launching", "binding", "bound", "running"]
    seen, *_, runs = told["history"]
    assert (seen["time_s"], seen["ago_s"], seen["after_s"]) == (1e6 + first, 15.0, 0.0)
    assert (runs["time_s"], runs["ago_s"], runs["after_s"]) == (1e6 + first + 5, 10.0, 5.0)
    assert (told["since_s"], told["for_s"]) == (1e6 + first + 5, 10.0)


def test_each_agent_is_told_with_its_own_reason_and_those_that_offer_nothing_too() -> None:
    fold = Fold(pod(requests=HUGE), nodes=(node("a1"), node("a3")))
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2", resources=Resources(cpus=100)))))
    fold.tick()
    told = explain_pod(fold.state, "ns/u1", fold.moment)
    assert told["waiting"] == "unschedulable"
    assert told["vetoes"] == {
        "A1": "insufficient cpu (offers, short by 896100m)",
        "A2": "insufficient cpu and memory (offers, short by 900000m and 200MiB)",
        "a3": "without an offer now",
    }
    assert told["vetoes_left_out"] == 0
    assert told["reason"].startswith("0/3 agents: 1 insufficient cpu (")


def test_an_explanation_names_a_bounded_number_of_agents() -> None:
    fold = Fold(pod(requests=HUGE))
    fold.take(OffersArrived(tuple(offer(f"o{n}", f"A{n:05}") for n in range(MAX_VETOES + 5))))
    fold.tick()
    fold.finish()
    told = explain_pod(fold.state, "ns/u1", fold.moment)
    assert (len(told["vetoes"]), told["vetoes_left_out"]) == (MAX_VETOES, 5)


def test_a_pod_that_is_not_known_names_those_that_were_meant() -> None:
    fold = Fold(pod("web-1", key="prod/web-1"), pod("web-2", key="prod/web-2"), pod("web-3", key="dev/web-1"))
    with pytest.raises(NotFound, match=r"no pod prod/web is known; there is prod/web-1, prod/web-2$"):
        reason(fold, "prod/web")
    with pytest.raises(NotFound, match=r"no pod test/web-1 is known; there is dev/web-1, prod/web-1$"):
        reason(fold, "test/web-1")
    with pytest.raises(NotFound, match="no pod a/b is known; see kubectl get pods"):
        reason(fold, "a/b")


def test_before_pods_are_listed_nothing_is_said_of_any() -> None:
    with pytest.raises(Unavailable, match="nothing is known of ns/u1 yet"):
        explain_pod(State(SETTINGS, term=1), "ns/u1", Now(0.0, 0.0))


# --- lists


def test_pods_are_listed_in_parts_by_state_and_namespace() -> None:
    fold = Fold(*(pod(f"u{n}") for n in range(5)), pod("x", key="other/x"), bound("b", task_id="b.1.1"))
    listed = pods(fold.state, Part(2), fold.moment, states=frozenset({"pending"}), namespace="ns")
    assert [each["pod"] for each in listed["pods"]] == ["ns/u0", "ns/u1"]
    assert listed["pods"][0]["reason"] == "is tried in the next cycle"
    assert listed["next"] == "ns/u1"
    listed = pods(fold.state, Part(2, "ns/u3"), fold.moment, states=frozenset({"pending"}), namespace="ns")
    assert ([each["pod"] for each in listed["pods"]], listed["next"]) == (["ns/u4"], None)
    listed = pods(fold.state, Part(10), fold.moment)
    assert [each["pod"] for each in listed["pods"]] == ["ns/b", *(f"ns/u{n}" for n in range(5)), "other/x"]
    assert pods(fold.state, Part(10), fold.moment, states=frozenset({"done"})) == {"pods": [], "next": None}


def test_equal_pods_are_put_into_words_once() -> None:
    """Or a page of thousands of pods that wait for thousands of agents would stop the scheduler."""
    fold = Fold(*(pod(f"u{n}", requests=HUGE) for n in range(50)))
    fold.take(OffersArrived(tuple(offer(f"o{n}", f"A{n}") for n in range(20))))
    fold.tick()
    reasons = Reasons(fold.state, fold.moment)
    assert len({reasons.of(record) for record in fold.state.pods.values()}) == 1
    assert len({id(record.vetoes) for record in fold.state.pods.values()}) == 1
    assert pending(fold.state, 5, fold.moment)["reasons"][0]["pods"] == 50


def test_an_answer_goes_through_a_bounded_number_of_vetoes() -> None:
    fold = Fold(*(pod(f"u{n}", requests=structs.replace(HUGE, cpus=900_000 + n)) for n in range(3)))
    agents = MAX_WORDED // 2
    fold.take(OffersArrived(tuple(offer(f"o{n}", f"A{n}") for n in range(3))))
    fold.tick()
    for record in fold.state.pods.values():
        # as if there were many more agents
        (objection, *_) = record.vetoes.values()
        record.vetoes = {f"A{n}": objection for n in range(agents)}
    told = pods(fold.state, Part(10), fold.moment)["pods"]
    assert ["insufficient cpu" in each["reason"] for each in told] == [True, True, False]
    assert told[2]["reason"] == "0/3 agents: ask for this pod alone to be told why"


def test_pods_in_backoff_are_told_together() -> None:
    fold = Fold(pod("u1"), pod("u2"))
    for launch in fold.launch():
        fold.take(update(launch.task_id, TaskState.FAILED, source="SOURCE_AGENT"))
    told = pending(fold.state, 5, fold.moment)["reasons"]
    assert [(each["kind"], each["reason"], each["pods"]) for each in told] == [
        ("backoff", "its last launch failed; it is tried again after a pause", 2)
    ]
