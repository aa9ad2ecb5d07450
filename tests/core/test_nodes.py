"""Nodes that come and go: what a Node is needed for, in every combination of what is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from msgspec import structs

from kmsched.core.effects import RegisterNode, RemoveNode
from kmsched.core.events import (
    AgentFailed,
    Disconnected,
    ExecutorFailed,
    NodeChanged,
    NodeDeleted,
    OffersArrived,
    PodChanged,
    PodDeleted,
    Subscribed,
    TaskState,
)
from kmsched.core.model import ATTRIBUTE_LABEL_PREFIX, LIFECYCLE_TAINTS, Node, Phase, Settings, Taint
from kmsched.core.nodelabels import KUBELET_LABELS
from kmsched.core.nodes import ASK_AGAIN_S, BATCH, LOOK_S, is_marked, why_needless
from kmsched.core.registration import LOOK_SOON_S
from tests.core.values import EXECUTOR, SETTINGS, Fold, bound, offer, our_node, pod, promised_node, update

ALL = replace(SETTINGS, registers_all=True)
SILENT_S = SETTINGS.node_silent_s


def fold(*pods: Any, nodes: tuple[Node, ...] = (our_node(),), settings: Settings = SETTINGS) -> Fold:
    found = Fold(*pods, nodes=nodes, settings=settings)
    found.tick()  # the first look
    return found


def left(settings: Settings = SETTINGS, **more: Any) -> Fold:
    """The executor of the only Node's agent has ended."""
    found = fold(nodes=(our_node(**more),), settings=settings)
    found.take(ExecutorFailed("A1", EXECUTOR))
    found.tick(LOOK_SOON_S)
    return found


def removals(found: Fold) -> list[str]:
    return [effect.reason for effect in found.of(RemoveNode)]


# --- its executor has left


def test_the_node_goes_with_its_executor_guarded_by_uid_and_version() -> None:
    [effect] = left(is_ready=True).of(RemoveNode)
    assert (effect.name, effect.uid, effect.resource_version) == ("a1", "n1", "7")
    assert effect.reason == "no executor runs on agent A1 any more"


def test_with_all_the_node_goes_too_and_is_made_anew_without_a_kubelet() -> None:
    found = left(ALL)
    assert removals(found) == ["no executor runs on agent A1 any more"]
    found.take(NodeDeleted("a1"), OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert [effect.name for effect in found.of(RegisterNode)] == ["a1"]
    found.take(NodeChanged(replace(promised_node(), labels={})))
    found.tick(ASK_AGAIN_S)
    assert removals(found) == []


def test_a_promised_node_for_which_nobody_spoke_is_made_anew() -> None:
    found = fold(nodes=(replace(promised_node(), labels={}, is_ready=False),), settings=ALL)
    assert removals(found) == ["nobody has said for a while that it is there"]


@pytest.mark.parametrize(
    "more",
    [
        {"is_unschedulable": True},
        {"taints": (Taint("dedicated", "db", "NoSchedule"),)},
        {"taints": (Taint("node.kubernetes.io/out-of-service", "", "NoExecute"),)},
        {"labels": {"disk": "ssd"}},
    ],
)
def test_what_an_operator_has_decided_is_kept(more: dict[str, Any]) -> None:
    found = left(**more)
    assert removals(found) == []
    # the agent's end is another matter
    found.take(AgentFailed("A1"))
    found.tick(LOOK_SOON_S)
    assert removals(found) == ["Mesos has removed agent A1"]


def test_what_kubelet_and_controllers_put_there_is_nobodys_decision() -> None:
    labels = dict.fromkeys(KUBELET_LABELS, "x") | {f"{ATTRIBUTE_LABEL_PREFIX}rack": "r1"}
    taints = tuple(Taint(key, "", "NoExecute") for key in sorted(LIFECYCLE_TAINTS))
    assert not is_marked(our_node(labels=labels, taints=taints))


def test_a_pod_that_is_bound_holds_the_node_whether_it_has_ended_or_not() -> None:
    for phase in (Phase.RUNNING, Phase.SUCCEEDED):
        found = fold(bound(phase=phase, scheduler_name="other"))
        found.take(AgentFailed("A1"))
        found.tick(LOOK_SOON_S)
        assert removals(found) == []
        found.take(PodDeleted("ns/u1", "u1"))
        found.tick(LOOK_S)
        assert removals(found) == ["Mesos has removed agent A1"]


def test_an_executor_that_was_launched_since_is_believed() -> None:
    found = left()
    found.take(PodChanged(pod()))
    found.launch(offer())
    found.take(update("t.2.9", TaskState.RUNNING))
    found.tick(ASK_AGAIN_S)
    assert removals(found) == []


def test_an_offer_tells_after_a_failover_that_no_executor_runs_there() -> None:
    found = fold()
    found.take(OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert removals(found) == ["no executor runs on agent A1 any more"]
    other = fold()
    other.take(OffersArrived((offer(executor_ids=frozenset({EXECUTOR})),)))
    other.tick(LOOK_S)
    assert removals(other) == []


def test_a_host_that_has_another_agent_id_now() -> None:
    found = fold()
    found.take(OffersArrived((offer("o2", "A9", hostname="A1", executor_ids=frozenset({EXECUTOR})),)))
    found.tick(LOOK_S)
    assert removals(found) == []
    found.take(ExecutorFailed("A9", EXECUTOR))
    found.tick(LOOK_SOON_S)
    assert removals(found) == ["no executor runs on agent A9 any more"]


# --- its agent has gone


@pytest.mark.parametrize("settings", [SETTINGS, ALL])
def test_the_node_of_an_agent_that_mesos_removed_goes_once_its_kubelet_is_silent(settings: Settings) -> None:
    found = fold(nodes=(our_node(is_ready=True),), settings=settings)
    found.take(AgentFailed("A1"))
    found.tick(LOOK_S)
    assert removals(found) == []  # a broken link between agent and master is no reason
    found.take(NodeChanged(our_node(resource_version="8")))
    found.tick(LOOK_S)
    assert removals(found) == ["Mesos has removed agent A1"]
    assert [effect.resource_version for effect in found.of(RemoveNode)] == ["8"]


def test_an_agent_that_comes_back_keeps_its_node() -> None:
    found = fold(nodes=(replace(promised_node(), labels={}),), settings=ALL)
    found.take(AgentFailed("A1"), OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert removals(found) == []


@pytest.mark.parametrize("settings", [SETTINGS, ALL])
def test_an_agent_of_which_nobody_tells_after_a_failover(settings: Settings) -> None:
    found = fold(settings=settings)
    found.tick(SILENT_S - LOOK_S)
    assert removals(found) == []
    found.tick(LOOK_S)
    assert removals(found) == [f"nothing was heard of agent A1 and of its kubelet for {SILENT_S:.0f} s"]


def test_an_offer_ends_the_silence() -> None:
    found = fold(nodes=(replace(promised_node(), labels={}),), settings=ALL)
    found.tick(SILENT_S - LOOK_S)
    found.take(OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert removals(found) == []


# --- whatever is known


FACTS = (
    "is_ours",
    "runs",
    "has_pod",
    "is_ready",
    "is_promised",
    "is_bare",
    "is_removed",
    "is_silent",
    "is_marked",
    "registers_all",
)


def world(**facts: bool) -> tuple[Fold, Node]:
    settings = ALL if facts["registers_all"] else SETTINGS
    it = our_node(
        is_ready=facts["is_ready"],
        is_promised=facts["is_promised"],
        is_unschedulable=facts["is_marked"],
        framework_id="F" if facts["is_ours"] else "another",
    )
    found = Fold(*([bound()] if facts["has_pod"] else []), nodes=(it,), settings=settings)
    known = found.state.registration
    if facts["runs"]:
        found.state.executors.seen("A1", EXECUTOR, found.now)
    if facts["is_bare"]:
        known.bare.add("A1")
    if facts["is_removed"]:
        known.removed.add("A1")
    if facts["is_silent"]:
        known.silent_since["a1"] = found.now - SILENT_S
    return found, it


@pytest.mark.parametrize("values", list(product((False, True), repeat=len(FACTS))))
def test_every_combination(values: tuple[bool, ...]) -> None:
    facts = dict(zip(FACTS, values, strict=True))
    found, it = world(**facts)
    why = why_needless(found.state, it, found.now)
    may_go = facts["is_ours"] and not facts["has_pod"]
    # then the executor that is believed to run has ended, or its kubelet cannot work
    kubelet_gone = not facts["is_ready"] and facts["is_silent"]
    has_kubelet = facts["is_ready"] and not facts["is_promised"]
    agent_gone = not has_kubelet and (facts["is_removed"] or facts["is_silent"])
    is_old = facts["is_promised"] and not facts["is_ready"]
    is_wanted = facts["is_promised"] and facts["registers_all"]
    executor_gone = facts["is_bare"] and not is_wanted
    nobody_runs = not facts["runs"] and (agent_gone or (not facts["is_marked"] and (is_old or executor_gone)))
    assert bool(why) == (may_go and (kubelet_gone or nobody_runs)), why


# --- as leader, in time, and not too many


def test_nothing_is_asked_for_without_the_subscription() -> None:
    found = fold()
    found.take(Disconnected("gone"), ExecutorFailed("A1", EXECUTOR))
    found.tick(LOOK_S)
    assert removals(found) == []
    found.take(Subscribed("F"))
    found.tick(LOOK_S)
    assert removals(found) == []  # it reconciles
    found.settle()
    found.tick(LOOK_S)
    assert len(removals(found)) == 1


def test_what_does_not_come_is_asked_for_again_in_a_while_and_what_has_gone_is_forgotten() -> None:
    found = left()
    assert len(removals(found)) == 1
    found.tick(LOOK_S)
    assert removals(found) == []
    found.tick(ASK_AGAIN_S)
    assert len(removals(found)) == 1
    found.take(NodeDeleted("a1"))
    found.tick(LOOK_S)
    known = found.state.registration
    assert not (known.bare or known.removed or known.silent_since or known.asked_at)


def test_many_go_bit_by_bit() -> None:
    nodes = tuple(our_node(f"h{each}", agent_id=f"A{each}") for each in range(2 * BATCH))
    found = fold(nodes=nodes)
    found.tick(SILENT_S)
    assert len(removals(found)) == BATCH
    found.tick(LOOK_S)
    assert len(removals(found)) == BATCH
    found.tick(LOOK_S)
    assert removals(found) == []


def test_a_heartbeat_alone_wakes_nobody() -> None:
    found = Fold(pod(requests=replace_cpu(99_000)), nodes=(our_node(is_ready=True),))
    found.launch(offer(executor_ids=frozenset({EXECUTOR})))
    found.take(NodeChanged(our_node(is_ready=True, resource_version="8")))
    assert not found.state.wants_cycle
    assert found.state.nodes["a1"].resource_version == "8"


def replace_cpu(millis: int) -> Any:
    return structs.replace(bound().requests, cpus=millis)
