"""What is read of pods and the Node."""

from __future__ import annotations

import json

import pytest

from kmsched.core.model import Phase, Taint
from kmsched.errors import ProtocolError
from kmsched.executor.events import NodeSeen, PodSeen
from kmsched.executor.views import node_seen, pod_seen

META = {"name": "p", "namespace": "ns", "uid": "u", "annotations": {"k8s.mesosphere.io/taskId": "u.1.1"}}


def pod(**status: object) -> PodSeen:
    return pod_seen(json.dumps({"metadata": META, "spec": {}, "status": status}).encode())


def test_a_new_pod_is_pending() -> None:
    assert pod() == PodSeen("ns/p", "u", Phase.PENDING, task_id="u.1.1")


def test_a_container_that_runs_or_ran_has_started() -> None:
    assert not pod(phase="Pending", containerStatuses=[{"name": "a", "state": {"waiting": {}}}]).has_started
    assert pod(phase="Pending", containerStatuses=[{"name": "a", "state": {"running": {}}}]).has_started
    assert not pod(phase="Pending", initContainerStatuses=[{"name": "a", "state": {"running": {}}}]).has_started


def test_a_failed_pod_tells_why() -> None:
    ended = [
        {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        {"name": "b", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
    ]
    seen = pod(phase="Failed", reason="Evicted", message="low on memory", containerStatuses=ended)
    assert (seen.phase, seen.reason) == (Phase.FAILED, "Evicted: low on memory")
    assert seen.exit_summary == "container b: exit code 137 (OOMKilled)"
    assert pod(phase="Succeeded", containerStatuses=ended[:1]).exit_summary == "container a: exit code 0 (Completed)"


def test_static_and_terminating_pods() -> None:
    meta = {**META, "annotations": {"kubernetes.io/config.mirror": "x"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    seen = pod_seen(json.dumps({"metadata": meta}).encode())
    assert (seen.is_static, seen.is_terminating, seen.task_id) == (True, True, "")


@pytest.mark.parametrize(
    ("own", "of_its_deletion", "expected"), [({}, {}, 30), (5, {}, 5), (0, {}, 0), (60, 7, 7), (60, 0, 0), ({}, 7, 7)]
)
def test_a_pods_grace_is_its_own_until_its_deletion_says_another(
    own: object, of_its_deletion: object, expected: int
) -> None:
    spec = {} if own == {} else {"terminationGracePeriodSeconds": own}
    meta = META if of_its_deletion == {} else {**META, "deletionGracePeriodSeconds": of_its_deletion}
    assert pod_seen(json.dumps({"metadata": meta, "spec": spec}).encode()).grace_s == expected


def node(*conditions: object, taints: object = None) -> NodeSeen:
    body = {"metadata": {"name": "h1"}, "spec": {"taints": taints}, "status": {"conditions": conditions}}
    name, seen = node_seen(json.dumps(body).encode())
    assert name == "h1"
    return seen


def test_the_node_and_why_it_is_not_ready() -> None:
    assert node().not_ready_reason == "it has no condition Ready yet"
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    assert node({"type": "DiskPressure", "status": "True"}, ready) == NodeSeen("")
    assert node({**ready, "status": "False", "message": "no CNI"}).not_ready_reason == "KubeletReady no CNI"
    assert node({"type": "Ready", "status": "Unknown"}).not_ready_reason == "Ready is Unknown"
    assert node(ready, taints=[{"key": "a", "effect": "NoExecute"}]).taints == (Taint("a", "", "NoExecute"),)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"metadata": 3}', b'{"status": {}}'])
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="a Pod is not what"):
        pod_seen(body)
    with pytest.raises(ProtocolError, match="a Node is not what"):
        node_seen(body)


def test_a_node_for_which_the_scheduler_speaks_is_not_ready_for_its_executor() -> None:
    promised = {"conditions": [{"type": "Ready", "status": "True", "reason": "NoExecutor"}]}
    metadata = {"name": "h1", "annotations": {"k8s.mesosphere.io/promised": "true"}}
    _, seen = node_seen(json.dumps({"metadata": metadata, "status": promised}).encode())
    assert seen.not_ready_reason == "kubelet has not taken it over yet"
    taken = promised | {"nodeInfo": {"bootID": "b"}}
    _, seen = node_seen(json.dumps({"metadata": metadata, "status": taken}).encode())
    assert seen.not_ready_reason == ""
