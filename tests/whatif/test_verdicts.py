"""Verdicts: every filter by kube-scheduler's name, each pod on its own, and lines that cannot be read."""

from __future__ import annotations

import io

import pytest

from kmsched.errors import ConfigRefused
from kmsched.whatif.verdicts import answers, verdicts
from tests.whatif.objects import Json, line, node, pod

TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
PORT = {"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]}


def verdict(a_node: Json, pending: Json, *bound: Json) -> str:
    ((found,),) = (verdicts(line([a_node], [pending], list(bound))),)
    return found["n1"]


@pytest.mark.parametrize(
    ("a_node", "pending", "expected"),
    [
        (node(), pod(), ""),
        (node(), pod(cpu="4", memory="8Gi"), ""),
        (node(), pod(spec={"nodeName": "n2"}), "NodeName: nodeName is n2"),
        (node(spec={"unschedulable": True}), pod(), "NodeUnschedulable: cordoned"),
        (node(spec={"taints": [TAINT]}), pod(), "TaintToleration: taint node.kubernetes.io/not-ready:NoSchedule"),
        (node(), pod(spec={"nodeSelector": {"a": "b"}}), "NodeAffinity: nodeSelector a=b does not match"),
        (node(pods="0"), pod(), "NodeResourcesFit: too many pods on the node"),
        (node(cpu="1"), pod(cpu="1500m"), "NodeResourcesFit: insufficient cpu (kubelet, short by 500m)"),
        (
            node(),
            pod(spec={"resourceClaims": [{"name": "r"}]}),
            "DynamicResources: the pod asks for what is not supported: resourceClaims",
        ),
        (node(spec={"unschedulable": True, "taints": [TAINT]}), pod(cpu="9"), "NodeUnschedulable: cordoned"),
    ],
)
def test_the_first_objection_in_kube_schedulers_order(a_node: Json, pending: Json, expected: str) -> None:
    assert verdict(a_node, pending) == expected


def test_what_only_a_scheduler_on_mesos_asks_is_not_asked() -> None:
    privileged = {"containers": [{"name": "c", "securityContext": {"privileged": True}}]}
    assert verdict(node(cpu="0", memory="0"), pod(spec=privileged)) == ""


def test_pods_that_are_there_take_ports_and_room_until_they_have_ended() -> None:
    there = pod(spec={"nodeName": "n1", **PORT})
    assert verdict(node(), pod(spec=PORT), there) == "NodePorts: host port 80/TCP in use"
    assert verdict(node(pods="1"), pod(), there) == "NodeResourcesFit: too many pods on the node"
    assert verdict(node(pods="1"), pod(spec=PORT), {**there, "status": {"phase": "Succeeded"}}) == ""
    assert verdict(node(pods="1"), pod(spec=PORT), pod(spec={"nodeName": "gone", **PORT})) == ""


def test_each_pending_pod_is_judged_on_its_own() -> None:
    found = verdicts(line([node("n1", pods="1"), node("n2", pods="0")], [pod("a"), pod("b")]))
    assert found == [{"n1": "", "n2": "NodeResourcesFit: too many pods on the node"}] * 2


def test_lines_are_answered_as_they_come() -> None:
    lines = io.BytesIO(line([node()], [pod()]) + b"\n  \n" + b'{"nodes": null, "pending": [], "more": 1}')
    assert list(answers(lines, "x")) == [[{"n1": ""}], []]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"{", "x, line 3: Input data was truncated; a line is one JSON object like"),
        (b"[]", "x, line 3: Expected `object`, got `array`; a line is one JSON object like"),
        (b'{"nodes": []}', "x, line 3: Object missing required field `pending`; a line is one JSON object like"),
        (b'\xff{"nodes": []}', "x, line 3: JSON is malformed"),
        (line([node(cpu="much")], []), r"x, line 3: Node n1: \$\.status\.allocatable\.cpu: 'much' is not a quantity"),
        (line([], [pod(cpu="-1")]), "x, line 3: Pod p: container c: resources.requests.cpu: '-1' is negative"),
        (line([node(), node()], []), "x, line 3: two Nodes are called n1"),
        (line([node("")], []), "x, line 3: a Node has no name"),
    ],
)
def test_a_bad_line_is_named_and_earlier_answers_are_kept(bad: bytes, words: str) -> None:
    good = line([node()], [pod()])
    found = answers(io.BytesIO(good + b"\n" + bad + b"\n" + good), "x")
    assert next(found) == [{"n1": ""}]
    with pytest.raises(ConfigRefused, match=words):
        next(found)
