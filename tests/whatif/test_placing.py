"""One cycle of the scheduler's core over Nodes of a file."""

from __future__ import annotations

from dataclasses import replace

from kmsched.core.model import PACK, Node, Pod, Settings
from kmsched.whatif.placing import ENDED, GATED, Answer, lost, place, unknown
from kmsched.wire.kube import decode_node, decode_pod
from tests.whatif.objects import Json, node, pod

SETTINGS = Settings(executor_id="")


def nodes(*objects: Json) -> list[Node]:
    return [decode_node(each) for each in objects]


def pods(*objects: Json) -> list[Pod]:
    return [decode_pod(each) for each in objects]


def where(answers: list[Answer]) -> dict[str, str]:
    return {each.pod.removeprefix("/"): each.node for each in answers}


def test_pods_are_placed_together_by_priority_and_age() -> None:
    first = pod("first", {"priority": 5}, cpu="3")
    late = pod("late", cpu="3")
    late["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    answers = place(nodes(node("n1"), node("n2")), pods(late, pod("early", cpu="4"), first), SETTINGS)
    assert where(answers) == {"late": "", "early": "n2", "first": "n1"}
    assert answers[0].why == "0/2 agents: 2 insufficient cpu (kubelet, short by 2000m at best)"
    assert answers[0].vetoes == {
        "n1": "NodeResourcesFit: insufficient cpu (kubelet, short by 2000m)",
        "n2": "NodeResourcesFit: insufficient cpu (kubelet, short by 3000m)",
    }


def test_what_just_fits_fits_to_the_byte() -> None:
    there = pod("there", {"nodeName": "n1"}, memory="999999999")
    only = nodes(node(memory="2e9"))
    assert where(place(only, pods(there, pod(memory="1000000001")), SETTINGS)) == {"there": "n1", "p": "n1"}
    assert where(place(only, pods(there, pod(memory="1000000002")), SETTINGS)) == {"there": "n1", "p": ""}


def test_whose_pods_they_are_does_not_matter() -> None:
    theirs = pod("theirs", {"schedulerName": "other"})
    mirror = pod("mirror", {"nodeName": "n1"})
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    answers = place(nodes(node(pods="2")), pods(theirs, mirror), SETTINGS)
    assert answers == [Answer("/theirs", "n1"), Answer("/mirror", "n1", was_bound=True)]


def test_what_pods_wish_of_mesos_is_not_asked_for() -> None:
    wishing = pod("wishing")
    wishing["metadata"] |= {"annotations": {"k8s.mesosphere.io/roles": "gold"}, "labels": {"portMapping": "wildcard"}}
    wishing["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    assert where(place(nodes(node()), pods(wishing), SETTINGS)) == {"wishing": "n1"}


def test_many_pods_are_placed_in_one_go() -> None:
    many = pods(*(pod(f"p{n}", cpu="1m") for n in range(300)))
    assert set(where(place(nodes(*(node(f"n{n}") for n in range(30))), many, SETTINGS)).values()) == {
        f"n{n}" for n in range(30)
    }


def test_pods_that_wait_for_something_else() -> None:
    gated = pod("gated", {"schedulingGates": [{"name": "g"}]})
    over = {**pod("over"), "status": {"phase": "Failed"}}
    answers = place(nodes(node()), pods(gated, over), SETTINGS)
    assert [(each.node, each.why) for each in answers] == [("", GATED), ("", ENDED)]


def test_placement_is_a_choice() -> None:
    there = pods(pod("there", {"nodeName": "n2"}, cpu="1"), *(pod(f"p{n}", cpu="1") for n in range(3)))
    spread = where(place(nodes(node("n1"), node("n2")), there, SETTINGS))
    assert spread == {"there": "n2", "p0": "n1", "p1": "n1", "p2": "n2"}
    packed = where(place(nodes(node("n1"), node("n2")), there, replace(SETTINGS, placement=PACK)))
    assert packed == {"there": "n2", "p0": "n2", "p1": "n2", "p2": "n2"}


def test_nothing_is_placed_where_no_kubelet_has_told_what_there_is() -> None:
    promised = node("n1")
    promised["metadata"]["annotations"] = {"k8s.mesosphere.io/promised": "true"}
    del promised["status"]["allocatable"]
    given = nodes(promised, node("n2"))
    assert unknown(given) == ["n1"]
    (answer,) = place(given, pods(pod("big", cpu="9")), SETTINGS)
    assert (answer.node, answer.vetoes["n1"]) == ("", "NodeResourcesFit: too many pods on the node")


def test_pods_on_nodes_that_are_not_there_are_told() -> None:
    away = (pod("a", {"nodeName": "gone"}), pod("b", {"nodeName": "gone"}))
    given = pods(*away, pod("c", {"nodeName": "n1"}), pod("d"))
    assert lost(nodes(node()), given) == {"gone": 2}
    assert where(place(nodes(node(pods="2")), given, SETTINGS))["d"] == "n1"
