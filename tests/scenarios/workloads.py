"""What scenarios create in Kubernetes. Builds manifests; sends nothing.

All containers run the testbed's image. What they ask for is small, so that 50 of them fit on three agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

IMAGE = "localhost/tiny:1"
#: label of the namespaces that scenarios make
OURS = "kmsched-scenario"
CPU, MEMORY = "50m", "32Mi"
#: ends at once when it is told to; number 1 of a container ignores signals that it has no trap for
PATIENT = "trap 'exit 0' TERM; sleep 1000000 & wait"

Manifest = dict[str, Any]


def container(script: str = PATIENT, cpu: str = CPU, memory: str = MEMORY, **more: Any) -> Manifest:
    return {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", script],
        "resources": {"requests": {"cpu": cpu, "memory": memory}},
        **more,
    }


def spec(containers: Sequence[Manifest] = (), grace_s: int = 2, **more: Any) -> Manifest:
    return {
        "containers": list(containers) or [container()],
        "terminationGracePeriodSeconds": grace_s,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **more,
    }


def pod(name: str, pod_spec: Manifest | None = None, labels: Mapping[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": pod_spec or spec(),
    }


def on(node: str) -> Manifest:
    """The part of a pod's spec that wants this Node, by its label."""
    return {"nodeSelector": {"kubernetes.io/hostname": node}}


def deployment(name: str, replicas: int, pod_spec: Manifest | None = None) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec or spec()},
        },
    }


def daemon_set(name: str) -> Manifest:
    made = deployment(name, 1)
    kept = {key: made["spec"][key] for key in ("selector", "template")}
    return {**made, "kind": "DaemonSet", "spec": kept}


def stateful_set(name: str, replicas: int) -> Manifest:
    made = deployment(name, replicas)
    return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": name}}


def job(name: str, script: str) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec([container(script)], restartPolicy="Never")}},
    }


def cron_job(name: str, script: str) -> Manifest:
    """One Job each minute."""
    template = {"spec": job(name, script)["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "* * * * *", "jobTemplate": template},
    }


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {OURS: "true"}}}
