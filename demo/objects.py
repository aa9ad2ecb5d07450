"""The Kubernetes objects of the demo: a Deployment, a Job, and a pod that fits nowhere. Values only."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PART_OF = "km-demo"
LABEL = "app.kubernetes.io/part-of"
SELECTOR = f"{LABEL}={PART_OF}"
NAMESPACE = "default"
WEB, JOB, TOO_BIG = "demo-web", "demo-sum", "demo-too-big"
REPLICAS = 6
PORT = 8080
#: more cores than any agent of the testbed has
TOO_MANY_CPUS = "64"
IMAGE = "localhost/tiny:1"

SERVE = f'echo "$(hostname) on $NODE" > /www/index.html; exec httpd -f -p {PORT} -h /www'
SUM = "s=0; i=0; while [ $i -lt 1000 ]; do i=$((i+1)); s=$((s+i)); done; echo the sum of 1 to 1000 is $s"


def all_objects() -> Json:
    """One List, for `kubectl create`."""
    return {"apiVersion": "v1", "kind": "List", "items": [_deployment(), _job(), _too_big()]}


def _deployment() -> Json:
    labels = {"app": WEB, LABEL: PART_OF}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(WEB),
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": WEB}},
            "template": {"metadata": {"labels": labels}, "spec": _pod("server", SERVE)},
        },
    }


def _job() -> Json:
    labels = {"app": JOB, LABEL: PART_OF}
    template = {"metadata": {"labels": labels}, "spec": {**_pod("adder", SUM), "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(JOB),
        "spec": {"backoffLimit": 2, "template": template},
    }


def _too_big() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(TOO_BIG),
        "spec": _pod("giant", "exec sleep 1000000", cpu=TOO_MANY_CPUS),
    }


def _metadata(name: str) -> Json:
    return {"name": name, "namespace": NAMESPACE, "labels": {LABEL: PART_OF}}


def _pod(container: str, script: str, cpu: str = "100m") -> Json:
    return {
        # the first process of a container has no default action for SIGTERM
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": container,
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", script],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "resources": {"requests": {"cpu": cpu, "memory": "32Mi"}},
            }
        ],
    }
