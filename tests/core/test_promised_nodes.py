"""A Node for every agent: made by the scheduler, and without a kubelet until a pod needs one."""

from __future__ import annotations

from dataclasses import replace

from kmsched.core.effects import RegisterNode, RemoveNode, ReviveOffers, SuppressOffers
from kmsched.core.events import OffersArrived, TaskState
from kmsched.core.model import ATTRIBUTE_LABEL_PREFIX, Taint
from kmsched.core.nodes import LOOK_S
from tests.core.values import SETTINGS, Fold, node, offer, pod, promised_node, update

ALL = replace(SETTINGS, registers_all=True)


def test_every_agent_that_offers_is_given_a_node() -> None:
    found = Fold(settings=ALL)
    found.take(OffersArrived((offer("o1", "A1", attributes={"rack": "r1"}), offer("o2", "A2"))))
    found.tick()
    made = found.of(RegisterNode)
    assert [(each.name, each.agent_id, each.framework_id) for each in made] == [("a1", "A1", "F"), ("a2", "A2", "F")]
    labels = {"kubernetes.io/hostname": "a1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    assert dict(made[0].labels) == labels | {f"{ATTRIBUTE_LABEL_PREFIX}rack": "r1"}
    assert made[0].reason == "agent A1 offers, and has no Node"
    found.tick(LOOK_S - 1)
    assert found.of(RegisterNode) == []


def test_without_all_none_is_made() -> None:
    found = Fold()
    found.take(OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert found.of(RegisterNode) == []


def test_a_node_that_exists_is_left_alone_whoever_made_it() -> None:
    found = Fold(nodes=(node("a1"),), settings=ALL)
    found.tick()
    found.take(OffersArrived((offer(),)))
    found.tick(LOOK_S)
    assert found.of(RegisterNode) == []
    assert found.of(RemoveNode) == []


def test_a_pod_may_go_where_no_kubelet_is_yet_and_is_judged_by_the_offer() -> None:
    found = Fold(pod(node_selector={"zone": "z1"}), nodes=(promised_node(),), settings=ALL)
    [launch] = found.launch(offer())
    # the watch of Nodes may lag behind the executor
    found.take(update(launch.task_id, TaskState.STARTING))
    assert found.state_of() == "binding"


def test_a_promised_node_obeys_its_operator() -> None:
    for more in ({"is_unschedulable": True}, {"taints": (Taint("dedicated", "db", "NoSchedule"),)}):
        found = Fold(pod(), nodes=(replace(promised_node(), **more),), settings=ALL)
        assert found.launch(offer()) == []


def test_with_all_agents_that_come_later_are_looked_for() -> None:
    found = Fold(settings=ALL)
    found.tick(31.0)
    [revive] = found.of(ReviveOffers)
    assert revive.reason == "are there agents that have no Node?"
    found.tick(SETTINGS.offer_ttl_s + 0.1)
    assert len(found.of(SuppressOffers)) == 1
    found.tick(1.0)
    assert found.effects == []
    found.tick(30.0)
    assert len(found.of(ReviveOffers)) == 1
