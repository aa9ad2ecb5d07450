"""Nodes made and taken away by the scheduler: each guarded so that a stale writer is refused.

Knows the bodies.  Refuses to know when: that is `core.nodes`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote

from kmsched.clients.kube import MERGE_PATCH, Json, KubeClient
from kmsched.clients.kube_rights import COORDINATION, NODE_LEASES
from kmsched.core.annotations import AGENT_ID, FRAMEWORK_ID, PROMISED
from kmsched.errors import Conflict, NotFound

PATH = "/api/v1/nodes"
LEASES = f"/apis/{COORDINATION}/v1/namespaces/{NODE_LEASES}/leases"
LEASE_S = 40
#: True, because controllers make no pods for Nodes that are not Ready
WAITING = {
    "type": "Ready",
    "status": "True",
    "reason": "NoExecutor",
    "message": "no kubelet runs on this Mesos agent; the scheduler starts it for the first pod",
}


async def create_node(
    kube: KubeClient, name: str, *, agent_id: str, framework_id: str, labels: Iterable[tuple[str, str]]
) -> None:
    """A Node without a kubelet. Conflict: there is one of that name."""
    annotations = {AGENT_ID: agent_id, FRAMEWORK_ID: framework_id, PROMISED: "true"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels), "annotations": annotations},
        "status": {"conditions": [WAITING]},
    }
    await kube.create(PATH, node)


async def delete_node(kube: KubeClient, name: str, *, uid: str, resource_version: str) -> None:
    """This very Node, as it was seen. Conflict: it has changed since, or is another one. NotFound: it is gone."""
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
    await kube.delete(f"{PATH}/{quote(name, safe='')}", options)


async def renew_lease(kube: KubeClient, name: str, uid: str, now_s: float) -> None:
    """Say of a Node without a kubelet that it is there; `now_s` in seconds since the epoch."""
    spec: Json = {"renewTime": datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    path = f"{LEASES}/{quote(name, safe='')}"
    try:
        await kube.patch(path, {"spec": spec}, MERGE_PATCH)
    except NotFound:
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
        lease = {
            "apiVersion": f"{COORDINATION}/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": NODE_LEASES, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, **spec},
        }
        # made meanwhile: a kubelet speaks for its Node
        with suppress(Conflict):
            await kube.create(LEASES, lease)


async def has_pods(kube: KubeClient, name: str) -> bool:
    """Whether any pod is bound to it, as the API server knows at this moment."""
    listed = await kube.get("/api/v1/pods", {"fieldSelector": f"spec.nodeName={name}", "limit": "1"})
    return bool(listed.get("items"))
