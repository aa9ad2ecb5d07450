"""A pod that cannot be read is still there."""

from __future__ import annotations

import json

import pytest

from kmsched.errors import ProtocolError
from kmsched.wire.kube import decode_pod
from kmsched.wire.unreadable import pod_by_identity

ODD = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "uid-web",
        "resourceVersion": "7",
        "annotations": {"k8s.mesosphere.io/taskId": "uid-web.1.1", "k8s.mesosphere.io/slaveId": "A1", "other": 5},
        "labels": "no labels",
    },
    "spec": {"nodeName": "node-1", "containers": [{"resources": {"requests": {"cpu": "some"}}}]},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize("obj", [ODD, json.dumps(ODD).encode()])
def test_identity_node_and_task_survive_whatever_else_is_odd(obj: dict[str, object] | bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_pod(obj)
    pod = pod_by_identity(obj, "cpu is 'some'")
    assert (pod.key, pod.uid, pod.node_name, pod.task_id) == ("default/web", "uid-web", "node-1", "uid-web.1.1")
    assert (pod.phase.value, pod.agent_id) == ("Running", "A1")
    assert pod.unsupported == (("spec", "what cannot be read: cpu is 'some'"),)


@pytest.mark.parametrize("obj", [{}, {"metadata": []}, {"metadata": {"name": "x"}}, b"no json", b"[]"])
def test_without_an_identity_there_is_no_pod(obj: dict[str, object] | bytes) -> None:
    with pytest.raises(ProtocolError):
        pod_by_identity(obj, "x")
