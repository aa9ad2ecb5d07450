"""Pods, effects and API objects as the tests of the daemon need them."""

from __future__ import annotations

from typing import Any

from kmsched.core.effects import AcceptOffers, AdoptPod, BindPod, Launch, ReportPod
from kmsched.core.resources import Resources

WHY = {"cause": "test", "reason": "because"}


def bind(name: str = "web", task_id: str = "uid-web.1.1", node: str = "node-1") -> BindPod:
    return BindPod(
        key=f"default/{name}",
        uid=f"uid-{name}",
        resource_version="7",
        node_name=node,
        task_id=task_id,
        annotations=(("k8s.mesosphere.io/taskId", task_id),),
        cause="task started",
        reason="its executor is ready",
    )


def adopt(name: str = "web", old: str = "uid-web.1.1", new: str = "uid-web.2.1") -> AdoptPod:
    return AdoptPod(
        key=f"default/{name}",
        uid=f"uid-{name}",
        resource_version="7",
        old_task_id=old,
        task_id=new,
        annotations=(("k8s.mesosphere.io/taskId", new),),
        cause="adoption",
        reason="its executor is ready",
    )


def accept(*names: str) -> AcceptOffers:
    launches = tuple(
        Launch(f"uid-{name}.1.1", f"default/{name}", f"uid-{name}", "bind", Resources(cpus=100, mem=64000))
        for name in names
    )
    return AcceptOffers("agent-1", ("offer-1",), launches, refuse_s=5.0, cause="cycle", reason="they fit")


def report(message: str = "0/1 agents: 1 insufficient cpu", name: str = "web", about: str = "") -> ReportPod:
    return ReportPod(
        key=f"default/{name}",
        uid=f"uid-{name}",
        kind="Warning",
        topic="FailedScheduling",
        message=message,
        cause="cycle",
        reason="no agent fits",
        about=about,
    )


def pod_json(
    name: str = "web", *, uid: str = "", version: str = "8", node: str = "", task_id: str = ""
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": uid or f"uid-{name}",
        "resourceVersion": version,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if task_id:
        metadata["annotations"] = {"k8s.mesosphere.io/taskId": task_id}
    return {
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Pending"},
    }
