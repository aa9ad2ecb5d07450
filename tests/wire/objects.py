"""Kubernetes objects as JSON, for the tests of what is read from them."""

from __future__ import annotations

import json
from typing import Any

from kmsched.core.model import Pod
from kmsched.wire.kube import Defaults, decode_pod

Json = dict[str, Any]
DEFAULTS = Defaults(cpu_millis=250, mem_milli=64_000)


def pod(spec: Json | None = None, status: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "ns", "uid": "u1", "resourceVersion": "7", **metadata},
        "spec": {"containers": [{"name": "c", "image": "i"}], **(spec or {})},
        "status": status or {},
    }


def node(**more: Any) -> Json:
    return {"metadata": {"name": "agent-1", **more.pop("metadata", {})}, **more}


def decoded(obj: Json, defaults: Defaults | None = None) -> Pod:
    found = decode_pod(json.dumps(obj).encode(), defaults or Defaults())
    assert decode_pod(obj, defaults or Defaults()) == found  # parsed JSON gives the same
    return found


def container(cpu: str = "", memory: str = "", **more: Any) -> Json:
    requests = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    return {"name": more.pop("name", "c"), "resources": {"requests": requests}, **more}
