"""The few writes that kmsched makes in Kubernetes, each guarded so that a stale writer is refused.

Knows the bodies of Binding, DeleteOptions, patches and Events.  Refuses to know when to send them, and to try again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from kmsched.clients.kube import JSON_PATCH, MERGE_PATCH, Json, KubeClient, pod_path
from kmsched.errors import Conflict, Invalid

#: How Kubernetes 1.37 words a JSON patch whose test failed, and a merge patch with another uid.
UNMET_WORDS = ("the server rejected our request due to an error in our request", "metadata.uid")


async def read_pod(kube: KubeClient, namespace: str, name: str) -> Json:
    return await kube.get(pod_path(namespace, name))


async def bind(
    kube: KubeClient,
    namespace: str,
    name: str,
    *,
    uid: str,
    resource_version: str | None,
    node_name: str,
    annotations: Mapping[str, str],
) -> None:
    """Bind the pod once, annotations in the same write.

    Conflict covers every refusal of the API server (bound already, another uid, another version): read the pod.
    NotFound: there is no such pod.
    """
    metadata: Json = {"name": name, "namespace": namespace, "uid": uid, "annotations": dict(annotations)}
    if resource_version is not None:
        metadata["resourceVersion"] = resource_version
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": metadata,
        "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
    }
    await kube.request("POST", pod_path(namespace, name, "binding"), body=binding)


async def delete_pod(kube: KubeClient, namespace: str, name: str, *, uid: str, grace_s: int) -> None:
    """Delete this very pod; `grace_s` replaces its own grace period.  Conflict: another one has its name by now."""
    options: Json = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
        "gracePeriodSeconds": grace_s,
    }
    await kube.delete(pod_path(namespace, name), options)


async def patch_pod_annotations(
    kube: KubeClient,
    namespace: str,
    name: str,
    *,
    uid: str,
    resource_version: str | None,
    annotations: Mapping[str, str | None],
    test_annotation: tuple[str, str] | None = None,
) -> Json:
    """Set annotations (None removes one) of this very pod; the answer is the pod.

    With `test_annotation` (key, value) the write happens only while that annotation has that value.
    Conflict: it has not, or the pod has another uid or version by now.
    """
    path = pod_path(namespace, name)
    try:
        return await _patch_annotations(kube, path, uid, resource_version, annotations, test_annotation)
    except Invalid as error:
        # The API server calls an unmet precondition of a patch invalid, and does not even say which one.
        if any(words in str(error) for words in UNMET_WORDS):
            tested = f", {test_annotation[0]}={test_annotation[1]!r}" if test_annotation else ""
            expected = f"uid {uid}, version {resource_version}{tested}"
            raise Conflict(f"{error}; the pod is not (any more) what was expected: {expected}") from error
        raise


async def _patch_annotations(
    kube: KubeClient,
    path: str,
    uid: str,
    resource_version: str | None,
    annotations: Mapping[str, str | None],
    test_annotation: tuple[str, str] | None,
) -> Json:
    if test_annotation is None:
        metadata: Json = {"uid": uid, "annotations": dict(annotations)}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        return await kube.patch(path, {"metadata": metadata}, MERGE_PATCH)
    key, value = test_annotation
    operations = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": annotation_pointer(key), "value": value},
    ]
    if resource_version is not None:
        operations.append({"op": "test", "path": "/metadata/resourceVersion", "value": resource_version})
    for name_, new in annotations.items():
        change = {"op": "remove"} if new is None else {"op": "add", "value": new}
        operations.append({**change, "path": annotation_pointer(name_)})
    return await kube.patch(path, operations, JSON_PATCH)


def annotation_pointer(key: str) -> str:
    """The JSON pointer of an annotation: `~` and `/` are escaped there."""
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")


async def create_event(
    kube: KubeClient,
    *,
    name: str,
    namespace: str,
    involved: Json,
    type_: str,
    reason: str,
    message: str,
    component: str,
    now_s: float,
) -> Json:
    """A core/v1 Event about `involved` (an ObjectReference); `now_s` in seconds since the epoch.

    Conflict: an event of that name exists already; see `repeat_event`.
    """
    now = rfc3339(now_s)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "type": type_,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    return await kube.create(_events_path(namespace), event)


async def repeat_event(kube: KubeClient, *, name: str, namespace: str, message: str, count: int, now_s: float) -> Json:
    """The event happened again, `count` times by now.  NotFound: it has expired; create it anew."""
    change = {"message": message, "count": count, "lastTimestamp": rfc3339(now_s)}
    return await kube.patch(f"{_events_path(namespace)}/{quote(name, safe='')}", change, MERGE_PATCH)


def pod_reference(namespace: str, name: str, uid: str) -> Json:
    """The ObjectReference of a pod."""
    return {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid}


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _events_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
