"""This node's pods and its Node, as the executor's events: only what task states depend on.

Knows the fields of status that tell how a pod fares.  What pods request is `wire.kube`'s.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct, field

from kmsched.core.annotations import AGENT_ID, FRAMEWORK_ID, PROMISED
from kmsched.core.model import TASK_ID_ANNOTATION, Phase, Taint
from kmsched.errors import ProtocolError
from kmsched.executor.events import DEFAULT_GRACE_S, NodeSeen, PodSeen
from kmsched.wire.kube import MIRROR_ANNOTATION, SOURCE_ANNOTATION, STATIC_SOURCES
from kmsched.wire.kube_objects import Metadata, NodeSpec

MAX_WORDS = 500
_PHASES = {phase.value: phase for phase in Phase}


class _Terminated(Struct, rename="camel"):
    exit_code: int = 0
    reason: str = ""


class _ContainerState(Struct):
    running: dict[str, object] | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(Struct):
    name: str = ""
    state: _ContainerState = field(default_factory=_ContainerState)


class _PodStatus(Struct, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class _PodMetadata(Metadata, rename="camel"):
    deletion_grace_period_seconds: int | None = None


class _PodSpec(Struct, rename="camel"):
    termination_grace_period_seconds: int | None = None


class _Pod(Struct):
    metadata: _PodMetadata
    spec: _PodSpec = field(default_factory=_PodSpec)
    status: _PodStatus = field(default_factory=_PodStatus)


class _Condition(Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _NodeInfo(Struct):
    boot_id: str = field(default="", name="bootID")


class _NodeStatus(Struct, rename="camel"):
    conditions: list[_Condition] | None = None
    node_info: _NodeInfo = field(default_factory=_NodeInfo)


class _Node(Struct):
    metadata: Metadata
    spec: NodeSpec = field(default_factory=NodeSpec)
    status: _NodeStatus = field(default_factory=_NodeStatus)


T = TypeVar("T")
_pod_decoder = msgspec.json.Decoder(_Pod)
_node_decoder = msgspec.json.Decoder(_Node)


def pod_seen(body: bytes) -> PodSeen:
    """ProtocolError: not a Pod."""
    pod = _decode(_pod_decoder, body, "a Pod")
    meta, status = pod.metadata, pod.status
    annotations = meta.annotations or {}
    containers = status.container_statuses or []
    return PodSeen(
        key=f"{meta.namespace}/{meta.name}",
        uid=meta.uid,
        phase=_PHASES.get(status.phase or "Pending", Phase.UNKNOWN),
        task_id=annotations.get(TASK_ID_ANNOTATION, ""),
        has_started=any(one.state.running is not None or one.state.terminated is not None for one in containers),
        is_terminating=meta.deletion_timestamp is not None,
        is_static=MIRROR_ANNOTATION in annotations or annotations.get(SOURCE_ANNOTATION) in STATIC_SOURCES,
        reason=": ".join(part for part in (status.reason, status.message) if part)[:MAX_WORDS],
        exit_summary=_exits([*(status.init_container_statuses or []), *containers])[:MAX_WORDS],
        grace_s=_grace_s(pod),
    )


def _grace_s(pod: _Pod) -> int:
    said = (pod.metadata.deletion_grace_period_seconds, pod.spec.termination_grace_period_seconds)
    return next((each for each in said if each is not None), DEFAULT_GRACE_S)


def node_seen(body: bytes) -> tuple[str, NodeSeen]:
    """The Node's name, and how it fares. ProtocolError: not a Node."""
    node = _decode(_node_decoder, body, "a Node")
    annotations = node.metadata.annotations or {}
    ready = next((one for one in node.status.conditions or () if one.type == "Ready"), None)
    if ready is None:
        trouble = "it has no condition Ready yet"
    elif PROMISED in annotations and not node.status.node_info.boot_id:
        trouble = "kubelet has not taken it over yet"
    else:
        words = " ".join(part for part in (ready.reason, ready.message) if part)
        trouble = "" if ready.status == "True" else words[:MAX_WORDS] or f"Ready is {ready.status}"
    taints = tuple(Taint(one.key, one.value, one.effect) for one in node.spec.taints or ())
    seen = NodeSeen(trouble, taints, annotations.get(AGENT_ID, ""), annotations.get(FRAMEWORK_ID, ""))
    return node.metadata.name, seen


def _exits(containers: list[_ContainerStatus]) -> str:
    """Containers that ended badly, or all that ended when none did."""
    ended = [(one.name, one.state.terminated) for one in containers if one.state.terminated is not None]
    bad = [(name, end) for name, end in ended if end.exit_code != 0] or ended
    return ", ".join(
        f"container {name}: exit code {end.exit_code}" + (f" ({end.reason})" if end.reason else "") for name, end in bad
    )


def _decode(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"{what} is not what the Kubernetes API promises: {error}") from error
