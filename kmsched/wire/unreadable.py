"""A pod that `wire.kube` refuses, as far as its identity can be read.

Knows that a pod that exists must never be taken for gone: its task would be killed.  What cannot be read of it is named
in `Pod.unsupported`, so that it is placed nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from kmsched.core.annotations import AGENT_ID
from kmsched.core.model import TASK_ID_ANNOTATION, Pod, Unsupported
from kmsched.errors import ProtocolError
from kmsched.wire.kube import Object, decode_pod

_KEPT_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_KEPT_SPEC = ("nodeName", "schedulerName")


def pod_by_identity(obj: Object, why: str) -> Pod:
    """The pod with nothing but its identity, node and task. ProtocolError: not even that can be read."""
    try:
        found = obj if isinstance(obj, Mapping) else msgspec.json.decode(obj)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a pod is no JSON: {error}") from error
    whole = _part(found)
    metadata, spec = _part(whole.get("metadata")), _part(whole.get("spec"))
    kept: dict[str, Any] = {name: metadata[name] for name in _KEPT_METADATA if isinstance(metadata.get(name), str)}
    if not (kept.get("uid") and kept.get("name")):
        raise ProtocolError("a pod has neither name nor uid that can be read")
    annotations = _part(metadata.get("annotations"))
    # without its agent nobody can be asked for the task
    named = {name: annotations.get(name) for name in (TASK_ID_ANNOTATION, AGENT_ID)}
    kept["annotations"] = {name: value for name, value in named.items() if isinstance(value, str)}
    phase = _part(whole.get("status")).get("phase")
    bare = {
        "metadata": kept,
        "spec": {name: spec[name] for name in _KEPT_SPEC if isinstance(spec.get(name), str)},
        "status": {"phase": phase if isinstance(phase, str) else "Unknown"},
    }
    return replace(decode_pod(bare), unsupported=(Unsupported("spec", f"what cannot be read: {why}"),))


def _part(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
