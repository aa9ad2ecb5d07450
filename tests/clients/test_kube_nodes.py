from __future__ import annotations

import asyncio
import json
from functools import partial

from kmsched.clients import kube_nodes
from kmsched.clients.http import Request
from tests.clients.fakes import Reply
from tests.clients.test_kube_pods import ok, rig, sent


def test_a_node_says_that_no_kubelet_is_there() -> None:
    kube, transport = rig(lambda _: Reply(201, (b"{}",)))
    labels = (("kubernetes.io/hostname", "h1"),)
    asyncio.run(kube_nodes.create_node(kube, "h1", agent_id="A1", framework_id="F", labels=labels))
    method, path, body, _ = sent(transport)
    assert (method, path) == ("POST", "/api/v1/nodes")
    assert isinstance(body, dict)
    assert body["metadata"] == {
        "name": "h1",
        "labels": {"kubernetes.io/hostname": "h1"},
        "annotations": {
            "k8s.mesosphere.io/slaveId": "A1",
            "k8s.mesosphere.io/frameworkId": "F",
            "k8s.mesosphere.io/promised": "true",
        },
    }
    [condition] = body["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "True", "NoExecutor")


def test_delete_node_names_the_very_node() -> None:
    kube, transport = rig(ok({}))
    asyncio.run(kube_nodes.delete_node(kube, "h1", uid="u", resource_version="7"))
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }
    assert sent(transport) == ("DELETE", "/api/v1/nodes/h1", options, "application/json")


def test_one_pod_is_enough_to_know() -> None:
    for items, expected in (([], False), ([{"kind": "Pod"}], True)):
        kube, transport = rig(lambda _, items=items: Reply(200, (json.dumps({"items": items}).encode(),)))  # type: ignore[misc]
        assert asyncio.run(kube_nodes.has_pods(kube, "h1")) is expected
        assert sent(transport)[1] == "/api/v1/pods?fieldSelector=spec.nodeName%3Dh1&limit=1"


LEASE = "https://a:6443/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def unless_patched(reply: Reply, request: Request) -> Reply:
    return Reply(404, (b"{}",)) if request.method == "PATCH" else reply


def test_a_lease_is_renewed_and_made_where_there_is_none() -> None:
    kube, transport = rig(ok({}))
    asyncio.run(kube_nodes.renew_lease(kube, "h1", "n1", 61.5))
    [renewed] = transport.requests
    assert (renewed.method, renewed.url) == ("PATCH", f"{LEASE}/h1")
    assert json.loads(renewed.body or b"") == {"spec": {"renewTime": "1970-01-01T00:01:01.500000Z"}}
    for status in (409, 201):  # a kubelet may have made it meanwhile
        made_or_not = Reply(status, (b"{}",))
        kube, transport = rig(partial(unless_patched, made_or_not))
        asyncio.run(kube_nodes.renew_lease(kube, "h1", "n1", 61.5))
    made = transport.requests[1]
    assert (made.method, made.url) == ("POST", LEASE)
    body = json.loads(made.body or b"")
    assert body["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "h1", "uid": "n1"}]
    assert body["spec"] == {
        "holderIdentity": "h1",
        "leaseDurationSeconds": 40,
        "renewTime": "1970-01-01T00:01:01.500000Z",
    }
