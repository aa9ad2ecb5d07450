"""Pods × offers: who gets what, both ledgers, and what people are told of those that get nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from msgspec import structs

from kmsched.core.cycle import REPORT_AFTER_S
from kmsched.core.effects import AcceptOffers, BindPod, DeclineOffers, Launch, ReportPod
from kmsched.core.events import (
    ExecutorFailed,
    NodeChanged,
    OfferRescinded,
    OffersArrived,
    PodChanged,
    PodDeleted,
    TaskState,
)
from kmsched.core.model import Phase, Taint
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.shares import Share
from kmsched.core.views import explain_pod
from tests.core.values import EXECUTOR, PLENTY, SETTINGS, SMALL, Fold, bound, node, offer, pod, update

TASK = Resources(cpus=500, mem=100_000)


def room_for(tasks: int) -> Resources:
    """Of an executor and so many small tasks."""
    return reduce(Resources.plus, [TASK] * tasks, SETTINGS.executor_resources)


def test_several_pods_go_out_in_one_accept_with_all_offers_of_the_agent() -> None:
    fold = Fold(pod("u1"), pod("u2"), pod("u3"))
    half = Resources(cpus=850, mem=1_000_000)
    launches = fold.launch(offer("o1", resources=half), offer("o2", resources=half))
    assert launches == [
        Launch(f"u{n}.2.{n + 1}", f"ns/u{n}", f"u{n}", "bind", SMALL, (Share("", SMALL.without_pods()),))
        for n in (1, 2, 3)
    ]
    (accept,) = fold.of(AcceptOffers)
    assert (accept.offer_ids, accept.agent_id, accept.refuse_s) == (("o1", "o2"), "A1", 0.0)
    assert accept.reason == "A1 takes 3: ns/u1, ns/u2, ns/u3"


def test_the_emptiest_agent_is_the_best() -> None:
    fold = Fold(pod("u1"), pod("u2"))
    launches = fold.launch(offer("o1", "A1"), offer("o2", "A2"))
    assert len(launches) == 2
    assert sorted(accept.agent_id for accept in fold.of(AcceptOffers)) == ["A1", "A2"]


def test_the_executors_share_is_charged_once_per_agent() -> None:
    pods = [pod(f"u{n}") for n in range(4)]
    fold = Fold(*pods)
    assert len(fold.launch(offer(resources=room_for(3)))) == 3
    fold = Fold(*pods)
    with_one = offer(resources=room_for(3), executor_ids=frozenset({EXECUTOR}))
    assert len(fold.launch(with_one)) == 3
    fold = Fold(*pods)
    exact = Resources(cpus=1500, mem=300_000)
    assert len(fold.launch(offer(resources=exact, executor_ids=frozenset({EXECUTOR})))) == 3
    fold = Fold(*pods)
    assert len(fold.launch(offer(resources=exact))) == 2


def test_the_offers_do_not_suffice() -> None:
    fold = Fold(pod())
    assert fold.launch(offer(resources=Resources(cpus=400, mem=4_000_000))) == []
    assert fold.record().vetoes["A1"].reason == "insufficient cpu (offers, short by 200m)"


def test_kubelets_ledger_counts_every_pod_of_the_node() -> None:
    others = bound("x", scheduler_name="other", requests=Resources(cpus=3800, pods=1))
    fold = Fold(pod(), others, nodes=(node(),))
    assert fold.launch() == []
    assert fold.record().vetoes["A1"].reason == "insufficient cpu (kubelet, short by 300m)"
    fold.take(PodDeleted("ns/x", "x"))
    fold.tick()
    assert len(fold.of(AcceptOffers)) == 1


def test_pods_per_node_are_counted_with_and_without_a_node() -> None:
    full = replace(SETTINGS, pods_per_node=2)
    pods = [pod(f"u{n}") for n in range(3)]
    assert len(Fold(*pods, settings=full).launch()) == 2
    small = node(allocatable=whole_counts(structs.replace(PLENTY, pods=1)))
    assert len(Fold(*pods, nodes=(small,)).launch()) == 1


def test_an_agent_without_a_node_has_room_for_what_is_offered_and_what_is_held() -> None:
    fold = Fold(pod("u1"), pod("u2"))
    fold.launch(offer(resources=structs.replace(room_for(2), mem=1_000_000)))
    fold.take(PodChanged(pod("u3")))
    rest = offer("o2", resources=TASK, executor_ids=frozenset({EXECUTOR}))
    assert [launch.pod_uid for launch in fold.launch(rest)] == ["u3"]


def test_a_rescinded_offer_is_not_used_even_when_the_rescind_came_first() -> None:
    fold = Fold(pod())
    fold.take(OfferRescinded("o1"), OffersArrived((offer("o1"), offer("o2"))), OfferRescinded("o2"))
    fold.tick()
    assert fold.of(AcceptOffers) == []


def test_no_launch_to_an_ended_executor_until_an_offer_lacks_it() -> None:
    fold = Fold(pod())
    listed = frozenset({EXECUTOR})
    fold.take(OffersArrived((offer("o1", executor_ids=listed),)), ExecutorFailed("A1", EXECUTOR))
    assert fold.of(DeclineOffers) == [
        DeclineOffers(("o1",), 0.0, cause="executor ended", reason=f"{EXECUTOR} on A1 ended")
    ]
    assert fold.launch(offer("o2", executor_ids=listed)) == []
    assert len(fold.launch(offer("o3"))) == 1


def test_a_pod_that_fits_nowhere_is_woken_by_offers_and_by_nodes() -> None:
    tainted = node(taints=(Taint("a", "b", "NoSchedule"),))
    fold = Fold(pod(), nodes=(tainted,))
    assert fold.launch() == []
    fold.tick(0.1)
    assert fold.state.queue.counts()["unschedulable"] == 1
    fold.take(NodeChanged(node()))
    fold.tick()
    assert len(fold.of(AcceptOffers)) == 1
    fold = Fold(pod())
    fold.tick()
    assert fold.state.queue.counts()["unschedulable"] == 1
    assert len(fold.launch()) == 1


def test_failed_scheduling_is_told_once_per_cause() -> None:
    fold = Fold(pod())
    small = Resources(cpus=200, mem=4_000_000)
    fold.launch(offer("o1", resources=small))
    assert fold.of(ReportPod) == []
    fold.tick(REPORT_AFTER_S)
    words = "0/1 agents: 1 insufficient cpu (offers, short by 400m at best)"
    assert fold.of(ReportPod) == [
        ReportPod(
            "ns/u1", "u1", "Warning", "FailedScheduling", words, cause="cycle", reason=words, about="offers/offers"
        )
    ]
    fold.launch(offer("o2", resources=structs.replace(small, cpus=250)))
    assert fold.of(ReportPod) == []
    fold.take(NodeChanged(node(is_unschedulable=True)))
    fold.tick()
    assert [report.message for report in fold.of(ReportPod)] == ["0/1 agents: 1 cordoned"]
    fold.take(NodeChanged(node()))
    fold.tick()
    assert fold.of(ReportPod) == []


def test_a_pod_is_told_why_it_waits_where_nothing_is_offered_at_all() -> None:
    fold = Fold(pod())
    fold.tick()
    fold.tick(REPORT_AFTER_S)
    assert [r.message for r in fold.of(ReportPod)] == ["0/0 agents: no agent has offered anything yet"]
    fold = Fold(pod(), nodes=(node(), node("a2")))
    fold.tick()
    fold.tick(REPORT_AFTER_S)
    assert [r.message for r in fold.of(ReportPod)] == ["0/2 agents: 2 without an offer now"]
    fold.tick(60.0)
    assert fold.of(ReportPod) == []


def test_pods_of_other_schedulers_are_not_placed() -> None:
    fold = Fold(pod(scheduler_name="other"), pod("u2", phase=Phase.FAILED))
    assert fold.launch() == []
    assert (fold.state_of("u1"), fold.state_of("u2")) == ("counted", "done")


def test_the_binding_names_task_agent_offers_and_executor() -> None:
    fold = Fold(pod())
    (launch,) = fold.launch(offer("o1", hostname="Host-1"), offer("o2", hostname="Host-1"))
    fold.take(update(launch.task_id, TaskState.STARTING))
    (bind,) = fold.of(BindPod)
    assert (bind.node_name, bind.resource_version, bind.task_id) == ("host-1", "1", launch.task_id)
    assert dict(bind.annotations) == {
        "k8s.mesosphere.io/bindingHost": "host-1",
        "k8s.mesosphere.io/taskId": launch.task_id,
        "k8s.mesosphere.io/slaveId": "A1",
        "k8s.mesosphere.io/offerId": "o1,o2",
        "k8s.mesosphere.io/executorId": EXECUTOR,
    }


def test_what_keeps_equal_pods_waiting_is_held_and_told_once_for_all() -> None:
    """Thousands of pods may wait for thousands of agents: a cycle must not end the process by its length."""
    huge = Resources(cpus=10**6, mem=1, pods=1)
    fold = Fold(*(pod(f"u{n}", requests=huge) for n in range(3)), nodes=(node("a1"), node("a2")))
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2"))))
    fold.tick(REPORT_AFTER_S)
    assert len({id(fold.record(f"u{n}").vetoes) for n in range(3)}) == 1
    assert set(fold.record("u0").vetoes) == {"A1", "A2"}
    words = {report.message for report in fold.of(ReportPod)}
    assert len(fold.of(ReportPod)) == 3
    assert words == {explain_pod(fold.state, "ns/u0", fold.moment)["reason"]}
    # one that comes later has no past
    fold.take(OfferRescinded("o2"), PodChanged(pod("late", requests=huge)), OffersArrived((offer("o3", "A1"),)))
    fold.tick()
    assert set(fold.record("late").vetoes) == {"A1"}
    assert set(fold.record("u0").vetoes) == {"A1", "A2"}
