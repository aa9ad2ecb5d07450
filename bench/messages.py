"""Pods, Nodes and offers in the words of Kubernetes and Mesos, with what real ones carry besides what is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

#: cores, MiB
AGENT: Mapping[str, float] = {"cpus": 16.0, "mem": 65_536.0, "disk": 500_000.0}
PODS_PER_NODE = "110"
SIZES = (("100m", "128Mi"), ("250m", "256Mi"), ("500m", "1Gi"), ("1", "2Gi"), ("2", "4Gi"))
REPLICAS = 40
#: managedFields make most of a real pod's bytes
MANAGED = [
    {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}},
            "f:spec": {"f:containers": {'k:{"name":"main"}': {"f:image": {}, "f:resources": {"f:requests": {}}}}},
        },
    }
]


def pod(number: int, *, node: str = "", task_id: str = "", phase: str = "Pending") -> Json:
    owner = number // REPLICAS
    cpu, memory = SIZES[owner % len(SIZES)]
    metadata: Json = {
        "name": f"web-{owner:05}-{number:06}",
        "generateName": f"web-{owner:05}-",
        "namespace": f"team-{owner % 50:02}",
        "uid": uid(number),
        "resourceVersion": str(1000 + number),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": f"web-{owner:05}", "pod-template-hash": f"{owner:010x}"},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": f"web-{owner:05}",
                "uid": uid(10**6 + owner),
                "controller": True,
            }
        ],
        "managedFields": MANAGED,
    }
    if task_id:
        metadata["annotations"] = {
            "k8s.mesosphere.io/taskId": task_id,
            "k8s.mesosphere.io/slaveId": f"{node}-S1",
            "k8s.mesosphere.io/bindingHost": node,
        }
    spec: Json = {
        "containers": [
            {
                "name": "main",
                "image": "registry.example.com/team/web:1.2.3",
                "resources": {"requests": {"cpu": cpu, "memory": memory}},
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "serviceAccountName": "default",
        "schedulerName": "default-scheduler",
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{name}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for name in ("not-ready", "unreachable")
        ],
    }
    if node:
        spec["nodeName"] = node
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, "qosClass": "Burstable"}}


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def watch_line(obj: Json, type_: str = "ADDED") -> bytes:
    return msgspec.json.encode({"type": type_, "object": {"kind": "Pod", "apiVersion": "v1", **obj}}) + b"\n"


def node(name: str) -> Json:
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": "5",
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"zone-{len(name) % 3}",
            },
        },
        "spec": {},
        "status": {
            "allocatable": {
                "cpu": "15500m",
                "memory": "62Gi",
                "ephemeral-storage": "450Gi",
                "pods": PODS_PER_NODE,
            },
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def offer(offer_id: str, host: str, free: Mapping[str, float], executor_id: str = "") -> Json:
    """Some 1,000 bytes, as one of Mesos 1.11."""
    info = {"role": "*"}
    scalars = [
        {
            "name": name,
            "type": "SCALAR",
            "scalar": {"value": round(amount, 3)},
            "role": "*",
            "allocation_info": info,
        }
        for name, amount in free.items()
    ]
    ports = {
        "name": "ports",
        "type": "RANGES",
        "ranges": {"range": [{"begin": 31_000, "end": 32_000}]},
        "role": "*",
        "allocation_info": info,
    }
    return {
        "id": {"value": offer_id},
        "framework_id": {"value": "F"},
        "agent_id": {"value": f"{host}-S1"},
        "hostname": host,
        "resources": [*scalars, ports],
        "attributes": [
            {"name": "rack", "type": "TEXT", "text": {"value": "r17"}},
            {"name": "generation", "type": "SCALAR", "scalar": {"value": 4}},
        ],
        "executor_ids": [{"value": executor_id}] if executor_id else [],
        "allocation_info": info,
        "url": {"scheme": "http", "address": {"hostname": host, "ip": "10.0.0.1", "port": 5051}, "path": "/slave(1)"},
        "domain": {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}},
    }
