"""Nodes and pods as JSON, for the tests of what-if."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def node(name: str = "n1", spec: Json | None = None, **allocatable: str) -> Json:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110", **allocatable}
    return {"kind": "Node", "metadata": {"name": name}, "spec": spec or {}, "status": {"allocatable": amounts}}


def pod(name: str = "p", spec: Json | None = None, **requests: str) -> Json:
    container = {"name": "c", "resources": {"requests": requests}}
    return {"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **(spec or {})}}


def line(nodes: list[Json], pending: list[Json], pods: list[Json] | None = None) -> bytes:
    return json.dumps({"nodes": nodes, "pods": pods, "pending": pending}).encode() + b"\n"
