"""Executors of other fingerprints: refused in words, told to people, left alone; and who is told the hot settings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec import structs

from kmsched.core.agent_views import agents
from kmsched.core.effects import BindPod, ConfigureExecutor, DeclineOffers, ReportPod, ReviveOffers
from kmsched.core.events import (
    AgentFailed,
    ExecutorFailed,
    OffersArrived,
    PodChanged,
    SettingsConfirmed,
    SpecsLearned,
    Subscribed,
    TaskState,
)
from kmsched.core.executors import BATCH, LONGEST_PAUSE_S, MAX_NAMED, MAX_WORDS, Executors
from kmsched.core.model import Pod
from kmsched.core.views import explain_pod
from tests.core.values import EXECUTOR, PLENTY, Fold, bound, node, offer, pod, update

THEIRS = "km-05e2"
ROOT = ("--kubelet-root-dir: '/a' here, '/b' there",)
REFUSED = "executor of another fingerprint (--kubelet-root-dir: '/a' here, '/b' there)"
ONLY_THEIRS = frozenset({THEIRS})


def taught(*pods: Pod) -> Fold:
    fold = Fold(*pods)
    fold.take(SpecsLearned({THEIRS: ROOT}))
    return fold


# --- refused for new pods


def test_an_agent_with_another_executor_is_refused_with_the_flags_that_differ() -> None:
    fold = taught(pod())
    assert fold.launch(offer(executor_ids=ONLY_THEIRS)) == []
    assert fold.record().vetoes["A1"].reason == REFUSED
    assert fold.of(DeclineOffers) == [
        DeclineOffers(("o1",), 5.0, cause="executor of another fingerprint", reason=f"A1 runs an {REFUSED}")
    ]
    explained = explain_pod(fold.state, "ns/u1", fold.moment)
    assert explained["reason"] == f"0/1 agents: 1 {REFUSED}"


def test_agents_that_differ_alike_are_counted_together_and_told_to_the_pod() -> None:
    fold = taught(pod())
    fold.tick(3.0)
    fold.launch(
        *(offer(f"o{n}", f"A{n}", executor_ids=ONLY_THEIRS) for n in range(4)),
        offer("o9", "A9", resources=structs.replace(PLENTY, cpus=0)),
    )
    (report,) = fold.of(ReportPod)
    assert report.message.startswith(f"0/5 agents: 4 {REFUSED}, 1 insufficient cpu")


def test_of_an_unknown_spec_it_is_said_where_it_lies() -> None:
    fold = Fold(pod())
    fold.launch(offer(executor_ids=ONLY_THEIRS))
    reason = fold.record().vetoes["A1"].reason
    assert reason.startswith("executor of another fingerprint (km-05e2, whose spec is not in the store: copy ")
    assert "executors/05e2*" in reason
    assert "state folder of the scheduler that started it" in reason
    fold.take(SpecsLearned({THEIRS: ROOT}))
    fold.launch(offer("o2", executor_ids=ONLY_THEIRS))
    assert fold.record().vetoes["A1"].reason == REFUSED


def test_a_spec_that_differs_in_nothing_that_is_compared_is_said_to() -> None:
    fold = Fold(pod())
    fold.take(SpecsLearned({THEIRS: ()}))
    fold.launch(offer(executor_ids=ONLY_THEIRS))
    assert "km-05e2, which differs in nothing that this version compares" in fold.record().vetoes["A1"].reason


def test_a_reason_has_an_end() -> None:
    many = Executors(differences={THEIRS: tuple(f"--flag-{n}: 'a' here, 'b' there" for n in range(9))})
    assert many.words(THEIRS).endswith(f"; and {9 - MAX_NAMED} more")
    assert many.words(THEIRS).count(" here,") == MAX_NAMED
    long = Executors(differences={THEIRS: ("--flag: " + "x" * 5000,)})
    assert len(long.words(THEIRS)) == MAX_WORDS + len("...")


@pytest.mark.parametrize("listed", [{THEIRS, EXECUTOR}, {"km-zzz", EXECUTOR}])
def test_another_executor_beside_ours_is_an_obstacle_wherever_it_sorts(listed: set[str]) -> None:
    fold = Fold(pod())
    assert fold.launch(offer(executor_ids=frozenset(listed))) == []
    assert fold.record().vetoes["A1"].filter == "executor"
    assert fold.launch(offer("o2", executor_ids=frozenset({EXECUTOR, "marathon-1"}))) != []


def test_pods_that_run_there_go_on() -> None:
    task = "u1.1.1"
    fold = Fold(bound(task_id=task))
    fold.take(update(task, TaskState.RUNNING, executor_id=THEIRS))
    fold.take(OffersArrived((offer(executor_ids=ONLY_THEIRS),)))
    fold.tick()
    assert fold.state_of() == "running"
    fold.take(update(task, TaskState.FINISHED, executor_id=THEIRS, update_id="x"))
    fold.take(PodChanged(bound(task_id=task, resource_version="2", is_terminating=True)))
    assert fold.state_of() == "ended"


def test_a_launch_of_a_predecessor_is_bound_with_the_executor_that_holds_it() -> None:
    fold = taught(pod())
    fold.take(OffersArrived((offer(executor_ids=ONLY_THEIRS),)))
    fold.take(update("u1.1.1", TaskState.STARTING, executor_id=THEIRS, update_id="x"))
    (binding,) = fold.of(BindPod)
    assert dict(binding.annotations)["k8s.mesosphere.io/executorId"] == THEIRS


def test_when_the_other_executor_ends_its_agent_is_asked_for_at_once() -> None:
    fold = taught(pod())
    fold.launch(offer(executor_ids=ONLY_THEIRS))
    fold.tick(1.0)
    assert fold.of(ReviveOffers) == []
    fold.take(ExecutorFailed("A1", THEIRS))
    fold.tick(0.3)
    assert len(fold.of(ReviveOffers)) == 1
    assert len(fold.launch(offer("o2"))) == 1


def test_an_orphan_waits_for_the_end_of_the_other_executor_and_says_so() -> None:
    fold = taught(bound(task_id="u1.1.1"))
    fold.take(update("u1.1.1", TaskState.GONE, source="SOURCE_MASTER", executor_id=""))
    assert fold.state_of() == "orphaned"
    assert fold.launch(offer(executor_ids=ONLY_THEIRS)) == []
    explained = explain_pod(fold.state, "ns/u1", fold.moment)
    assert explained["reason"] == f"runs on a1 without a task: {REFUSED}"
    assert [launch.mode for launch in fold.launch(offer("o2"))] == ["adopt"]


# --- the page of agents


def test_every_agent_is_listed_by_offers_and_by_tasks_alone() -> None:
    fold = Fold(bound(task_id="u1.1.1"), nodes=(node("a1", agent_id="A1"),))
    fold.take(SpecsLearned({THEIRS: ROOT}))
    fold.take(update("u1.1.1", TaskState.RUNNING, executor_id=THEIRS))
    fold.take(OffersArrived((offer("o2", "A2"), offer("o3", "A3", executor_ids=frozenset({EXECUTOR, "x"})))))
    fold.take(SettingsConfirmed("A3", EXECUTOR, 2))
    one, two, three = agents(fold.state)
    assert one == {
        "agent_id": "A1",
        "hostname": "a1",
        "executor_ids": [THEIRS],
        "fingerprint": "05e2",
        "compatible": False,
        "differences": list(ROOT),
        "reason": REFUSED,
        "settings_versions": {THEIRS: 0},
        "pods": 1,
        "tasks": 1,
        "resources": {
            "held": {"cpus": 0.5, "mem_mib": 100.0, "disk_mib": 0.0, "gpus": 0.0},
            "offered": {"cpus": 0.0, "mem_mib": 0.0, "disk_mib": 0.0, "gpus": 0.0},
        },
    }
    assert (two["hostname"], two["fingerprint"], two["compatible"], two["differences"]) == ("A2", "", True, [])
    assert two["resources"]["offered"]["cpus"] == 4.0
    assert (three["executor_ids"], three["compatible"], three["reason"]) == ([EXECUTOR], True, "")
    assert three["settings_versions"] == {EXECUTOR: 2}


def test_differences_of_an_unknown_spec_are_null_not_none() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(executor_ids=ONLY_THEIRS),)))
    (one,) = agents(fold.state)
    assert (one["compatible"], one["differences"]) == (False, None)
    assert "whose spec is not in the store" in one["reason"]


def test_what_has_ended_is_not_listed() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(executor_ids=ONLY_THEIRS),)))
    fold.take(ExecutorFailed("A1", THEIRS))
    assert agents(fold.state)[0]["executor_ids"] == []
    fold.take(OffersArrived((offer("o2", executor_ids=ONLY_THEIRS),)))
    fold.take(AgentFailed("A1"))
    assert agents(fold.state) == []


def test_a_host_under_another_agent_id_takes_its_executors_along() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer("o1", "A1", hostname="h", executor_ids=ONLY_THEIRS),)))
    fold.tick()
    fold.take(OffersArrived((offer("o2", "A2", hostname="h"),)))
    assert [(one["agent_id"], one["executor_ids"]) for one in agents(fold.state)] == [("A2", [])]


# --- hot settings


def configured(fold: Fold) -> list[tuple[str, str, int]]:
    return [(each.agent_id, each.executor_id, each.version) for each in fold.of(ConfigureExecutor)]


def test_a_running_executor_is_told_once_it_is_known_and_until_it_confirms() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(executor_ids=frozenset({EXECUTOR})), offer("o2", "A2", executor_ids=ONLY_THEIRS))))
    fold.tick()
    assert configured(fold) == []  # one that was just launched says by itself what it has
    fold.tick(2.0)
    assert configured(fold) == [("A1", EXECUTOR, 2), ("A2", THEIRS, 2)]
    fold.take(SettingsConfirmed("A1", EXECUTOR, 2))
    fold.tick(2.0)
    assert configured(fold) == [("A2", THEIRS, 2)]
    fold.take(SettingsConfirmed("A2", THEIRS, 3))  # a newer scheduler was here
    fold.tick(600.0)
    assert configured(fold) == []


def test_an_executor_that_never_answers_is_told_ever_more_rarely() -> None:
    fold = Fold()
    fold.take(update("u9.1.1", TaskState.RUNNING))
    times = []
    for second in range(1500):
        fold.tick(1.0)
        times += [second] * len(configured(fold))
    assert [after - before for before, after in pairwise(times)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert LONGEST_PAUSE_S == 300


def test_after_a_new_subscription_every_executor_is_told_again() -> None:
    fold = Fold()
    listed = frozenset({EXECUTOR})
    fold.take(OffersArrived((offer(executor_ids=listed),)), SettingsConfirmed("A1", EXECUTOR, 2))
    fold.take(Subscribed("F"), OffersArrived((offer(executor_ids=listed),)))
    fold.tick(3.0)
    assert configured(fold) == []  # offers are held until the state of all tasks is known
    fold.settle()
    fold.tick()
    assert configured(fold) == [("A1", EXECUTOR, 2)]


def test_many_executors_are_told_in_parts() -> None:
    fold = Fold()
    fold.take(OffersArrived(tuple(offer(f"o{n}", f"A{n}", executor_ids=ONLY_THEIRS) for n in range(BATCH + 3))))
    fold.tick(2.0)
    assert len(configured(fold)) == BATCH
    fold.tick(0.2)
    assert len(configured(fold)) == 3


def test_executors_of_other_frameworks_and_ended_tasks_name_nobody() -> None:
    fold = Fold()
    fold.take(update("u9.1.1", TaskState.RUNNING, executor_id="marathon-7"))
    fold.take(update("u9.1.2", TaskState.FAILED, executor_id=EXECUTOR))
    fold.take(update("u9.1.3", TaskState.RUNNING, agent_id=""))
    fold.take(SettingsConfirmed("A1", "marathon-7", 1))
    assert fold.state.executors.on_agent == {}
