"""Pods and Nodes of the Kubernetes API as the core's values.

Knows what each field means for placement.  What a spec asks for and this scheduler cannot honour is named in
`Pod.unsupported`, never passed over.  An object that is not what the API promises is a ProtocolError that names it,
so that the caller can tell of it and go on with the next.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from kmsched.core import labels
from kmsched.core.affinity import is_readable
from kmsched.core.annotations import AGENT_ID, FRAMEWORK_ID, PROMISED
from kmsched.core.model import (
    NOTHING,
    TASK_ID_ANNOTATION,
    HostPort,
    Node,
    NodeTerm,
    Phase,
    Pod,
    Requirement,
    Taint,
    Toleration,
    Unsupported,
)
from kmsched.core.resources import MILLI, ZERO, Counts, Resources
from kmsched.errors import ProtocolError
from kmsched.wire.kube_objects import (
    Metadata,
    NodeObject,
    PodObject,
    PodSpec,
    Selector,
    SelectorRequirement,
    SelectorTerm,
)
from kmsched.wire.pod_requests import (
    CPU,
    HUGEPAGES_PREFIX,
    MEMORY,
    STORAGE,
    Amounts,
    Defaults,
    amounts_of,
    pod_amounts,
)
from kmsched.wire.pod_wishes import pod_wishes
from kmsched.wire.quantity import count_up, milli_mib_up, milli_up

__all__ = ["Defaults", "decode_node", "decode_pod"]

#: an object as parsed JSON, or as the bytes of it
Object = Mapping[str, Any] | bytes | bytearray | memoryview | msgspec.Raw
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
SOURCE_ANNOTATION = "kubernetes.io/config.source"
STATIC_SOURCES = frozenset({"file", "http"})
GPU = "nvidia.com/gpu"  # Mesos counts these too, as gpus
#: of names of resources
VOLUMES_PREFIX, QUOTA_PREFIX, KUBERNETES_DOMAIN = "attachable-volumes-", "requests.", "kubernetes.io/"
NO_DEFAULTS = Defaults()
NO_TERM = NodeTerm()
ANY_ADDRESS = "0.0.0.0"

#: plugin of kube-scheduler, struct field of a volume, how users call it; they tie a pod to where the volume is, or to
#: who else uses it
_VOLUMES = (
    ("VolumeRestrictions", "iscsi", "iscsi volumes"),
    ("VolumeRestrictions", "rbd", "rbd volumes"),
    ("VolumeRestrictions", "gce_persistent_disk", "gcePersistentDisk volumes"),
    ("VolumeRestrictions", "aws_elastic_block_store", "awsElasticBlockStore volumes"),
    ("VolumeBinding", "persistent_volume_claim", "persistentVolumeClaim volumes"),
    ("VolumeBinding", "ephemeral", "ephemeral volumes"),
)
#: fields whose values are texts, by any name
_TEXTS = frozenset({"labels", "annotations", "nodeSelector"})
_PHASES = {phase.value: phase for phase in Phase}
_T = TypeVar("_T", PodObject, NodeObject)
_V = TypeVar("_V")
#: values that pods share
SHARED = 10_000
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_pod_decoder = msgspec.json.Decoder(PodObject)
_node_decoder = msgspec.json.Decoder(NodeObject)


def decode_pod(obj: Object, defaults: Defaults = NO_DEFAULTS) -> Pod:
    """The pod; `defaults` count where a container requests no cpu or memory.

    ProtocolError names the pod, the field and the value.
    """
    pod = _decode(_pod_decoder, obj, "Pod")
    meta, spec = pod.metadata, pod.spec
    try:
        amounts = pod_amounts(pod, defaults.amounts())
        wishes = pod_wishes(pod)
    except ProtocolError as error:
        raise ProtocolError(f"Pod {_name(meta)}: {error}") from error
    annotations = meta.annotations or NOTHING
    return Pod(
        key=f"{meta.namespace}/{meta.name}",
        uid=meta.uid,
        resource_version=meta.resource_version,
        scheduler_name=sys.intern(spec.scheduler_name),
        node_name=sys.intern(spec.node_name),
        reason=pod.status.reason or "",
        phase=_PHASES.get(pod.status.phase or "Pending", Phase.UNKNOWN),
        is_terminating=meta.deletion_timestamp is not None,
        is_static=MIRROR_ANNOTATION in annotations or annotations.get(SOURCE_ANNOTATION) in STATIC_SOURCES,
        is_gated=bool(spec.scheduling_gates),
        priority=spec.priority or 0,
        created_s=meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0,
        requests=_shared(_requests(amounts)),
        counts=_shared(Counts(**_counts(amounts), pods=1)),
        node_selector=MappingProxyType(spec.node_selector) if spec.node_selector else NOTHING,
        tolerations=_shared(
            tuple(Toleration(one.key, one.operator or "Equal", one.value, one.effect) for one in spec.tolerations or ())
        ),
        extended=tuple(
            sorted((name, count_up(amount)) for name, amount in amounts.items() if amount and _is_extended(name))
        ),
        unsupported=_unsupported(spec),
        is_privileged=_is_privileged(spec),
        task_id=annotations.get(TASK_ID_ANNOTATION, ""),
        agent_id=sys.intern(annotations.get(AGENT_ID, "")),
        owner_uid=sys.intern(next((one.uid for one in meta.owner_references or () if one.controller), "")),
        node_affinity=_node_affinity(spec),
        preferred=_preferred(spec),
        host_ports=_host_ports(spec),
        wishes=wishes,
    )


@lru_cache(maxsize=SHARED, typed=True)
def _shared(value: _V) -> _V:
    """The equal value that another pod has already: of 100,000 pods most are alike."""
    return value


def decode_node(obj: Object) -> Node:
    """The Node; ProtocolError names it, the field and the value."""
    node = _decode(_node_decoder, obj, "Node")
    meta, spec, status = node.metadata, node.spec, node.status
    try:
        amounts = amounts_of(status.allocatable, "$.status.allocatable")
    except ProtocolError as error:
        raise ProtocolError(f"Node {_name(meta)}: {error}") from error
    return Node(
        name=meta.name,
        allocatable=Counts(**_counts(amounts), pods=count_up(amounts.get("pods", 0))),
        labels=MappingProxyType(meta.labels) if meta.labels else NOTHING,
        taints=tuple(Taint(one.key, one.value, one.effect) for one in spec.taints or ()),
        is_unschedulable=spec.unschedulable,
        is_ready=any(one.type == "Ready" and one.status == "True" for one in status.conditions or ()),
        boot_id=status.node_info.boot_id,
        agent_id=(meta.annotations or NOTHING).get(AGENT_ID, ""),
        extended=MappingProxyType({name: count_up(amount) for name, amount in amounts.items() if _is_extended(name)}),
        uid=meta.uid,
        framework_id=(meta.annotations or NOTHING).get(FRAMEWORK_ID, ""),
        is_promised=PROMISED in (meta.annotations or NOTHING) and not status.node_info.boot_id,
        resource_version=meta.resource_version,
    )


def _decode(decoder: msgspec.json.Decoder[_T], obj: Object, kind: str) -> _T:
    try:
        try:
            found: _T = msgspec.convert(obj, type=decoder.type) if isinstance(obj, Mapping) else decoder.decode(obj)
        except msgspec.ValidationError:
            # null means the same as nothing, and is too rare to look for
            parsed = obj if isinstance(obj, Mapping) else msgspec.json.decode(obj)
            found = msgspec.convert(_without_nulls(parsed), type=decoder.type)
        return found
    except _MALFORMED as error:
        raise ProtocolError(f"{kind} {_name_in(obj)} is not what the Kubernetes API promises: {error}") from error


def _without_nulls(value: Any, has_texts: bool = False) -> Any:
    """As the API server reads it: no value, or the empty text where all values are texts."""
    if isinstance(value, Mapping):
        kept = {name: "" if each is None and has_texts else each for name, each in value.items()}
        return {name: _without_nulls(each, name in _TEXTS) for name, each in kept.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value if each is not None]
    return value


def _name_in(obj: Object) -> str:
    """Whatever name a malformed object still shows."""
    try:
        parsed = obj if isinstance(obj, Mapping) else msgspec.json.decode(obj)
    except _MALFORMED:
        return "(unreadable)"
    meta = parsed.get("metadata") if isinstance(parsed, Mapping) else None
    if not isinstance(meta, Mapping) or not isinstance(meta.get("name"), str):
        return "(nameless)"
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if isinstance(namespace, str) and namespace else str(meta["name"])


def _name(meta: Metadata) -> str:
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def _requests(amounts: Amounts) -> Resources:
    wanted = Resources(
        cpus=milli_up(amounts.get(CPU, 0)),
        mem=milli_mib_up(amounts.get(MEMORY, 0)),
        disk=milli_mib_up(amounts.get(STORAGE, 0)),
        gpus=count_up(amounts.get(GPU, 0)) * MILLI,
        pods=1,
    )
    # Mesos refuses a task without any resources, and a pod may ask for 0 of everything.
    return wanted if wanted.without_pods() != ZERO else replace(wanted, cpus=1)


def _counts(amounts: Amounts) -> dict[str, int]:
    """Rounded up, supplies too: kubelet does so."""
    return {
        "cpu": milli_up(amounts.get(CPU, 0)),
        "memory": count_up(amounts.get(MEMORY, 0)),
        "storage": count_up(amounts.get(STORAGE, 0)),
    }


@lru_cache(maxsize=1024)  # the same few names stand in every pod
def _is_extended(name: str) -> bool:
    """Is it counted, though it is none of the kinds that have names of their own?"""
    if name.startswith((HUGEPAGES_PREFIX, VOLUMES_PREFIX)) or KUBERNETES_DOMAIN in name:
        return True
    return "/" in name and not name.startswith(QUOTA_PREFIX) and labels.is_key(QUOTA_PREFIX + name)


def _unsupported(spec: PodSpec) -> tuple[Unsupported, ...]:
    """In the order of kube-scheduler's plugins; what none of them looks at comes last."""
    found = [
        Unsupported(plugin, words)
        for plugin, attribute, words in _VOLUMES
        if any(getattr(volume, attribute) is not None for volume in spec.volumes or ())
    ]
    if any(one.when_unsatisfiable != "ScheduleAnyway" for one in spec.topology_spread_constraints or ()):
        found.append(Unsupported("PodTopologySpread", "topologySpreadConstraints with DoNotSchedule"))
    affinity = spec.affinity
    if affinity is not None:
        if affinity.pod_affinity is not None and affinity.pod_affinity.required:
            found.append(Unsupported("InterPodAffinity", "required podAffinity"))
        if affinity.pod_anti_affinity is not None and affinity.pod_anti_affinity.required:
            found.append(Unsupported("InterPodAffinity", "required podAntiAffinity"))
    if spec.resource_claims:
        found.append(Unsupported("DynamicResources", "resourceClaims"))
    if spec.scheduling_group is not None:
        found.append(Unsupported("GangScheduling", "schedulingGroup"))
    if spec.os is not None and spec.os.name not in ("", "linux"):
        found.append(Unsupported("spec", f"os {spec.os.name}"))
    return tuple(found)


def _is_privileged(spec: PodSpec) -> bool:
    """Ephemeral containers come later, past any scheduler."""
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    return any(each.security_context is not None and each.security_context.privileged for each in containers)


def _node_affinity(spec: PodSpec) -> tuple[NodeTerm, ...] | None:
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required: Selector | None = affinity.required if affinity else None
    if required is None:
        return None
    return tuple(map(_term, required.node_selector_terms or ()))


def _preferred(spec: PodSpec) -> tuple[tuple[int, NodeTerm], ...]:
    affinity = spec.affinity.node_affinity if spec.affinity else None
    listed = affinity.preferred if affinity else None
    return tuple((one.weight, _term(one.preference)) for one in listed or () if one.weight)


def _term(found: SelectorTerm) -> NodeTerm:
    term = NodeTerm(_requirements(found.match_expressions), _requirements(found.match_fields))
    return term if is_readable(term) else NO_TERM


def _requirements(found: list[SelectorRequirement] | None) -> tuple[Requirement, ...]:
    return tuple(Requirement(one.key, one.operator, tuple(one.values or ())) for one in found or ())


def _host_ports(spec: PodSpec) -> frozenset[HostPort]:
    """Of containers and sidecars: other init containers do not run for as long as the pod does."""
    sidecars = [one for one in spec.init_containers or () if one.restart_policy == "Always"]
    return frozenset(
        HostPort(port.protocol or "TCP", port.host_ip or ANY_ADDRESS, port.host_port)
        for container in (*(spec.containers or ()), *sidecars)
        for port in container.ports or ()
        if port.host_port > 0
    )
