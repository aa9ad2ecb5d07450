"""The parts of Kubernetes' Pod and Node that placement reads, as typed structs; all other fields are skipped unread.

Only shapes: what they mean is `wire.kube`'s and `wire.pod_requests`'.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

MAX_INT32 = 2**31 - 1

#: users write numbers without quotes, too
Quantities = dict[str, str | int | float]


class OwnerReference(Struct, rename="camel"):
    uid: str = ""
    controller: bool | None = None


class Metadata(Struct, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class Resources(Struct):
    """ResourceRequirements; limits are not read: the API server has made requests of them already."""

    requests: Quantities | None = None


class Port(Struct, rename="camel"):
    container_port: int = 0
    name: str = ""
    host_port: int = 0
    host_ip: str = field(default="", name="hostIP")
    protocol: str = "TCP"


class SecurityContext(Struct):
    privileged: bool | None = None


class Container(Struct, rename="camel"):
    name: str = ""
    security_context: SecurityContext | None = None
    resources: Resources = field(default_factory=Resources)
    ports: list[Port] | None = None
    restart_policy: str | None = None


class SelectorRequirement(Struct):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class SelectorTerm(Struct, rename="camel"):
    match_expressions: list[SelectorRequirement] | None = None
    match_fields: list[SelectorRequirement] | None = None


class Selector(Struct, rename="camel"):
    node_selector_terms: list[SelectorTerm] | None = None


class PreferredTerm(Struct):
    weight: int = 0
    preference: SelectorTerm = field(default_factory=SelectorTerm)


class NodeAffinity(Struct):
    required: Selector | None = field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: list[PreferredTerm] | None = field(default=None, name="preferredDuringSchedulingIgnoredDuringExecution")


class PodAffinity(Struct):
    required: list[Any] | None = field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Struct, rename="camel"):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Struct):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class SpreadConstraint(Struct, rename="camel"):
    when_unsatisfiable: str = "DoNotSchedule"


class Volume(Struct, rename="camel"):
    """Only the sources that tie a pod to where its volume is."""

    persistent_volume_claim: Any = None
    ephemeral: Any = None
    iscsi: Any = None
    rbd: Any = None
    gce_persistent_disk: Any = None
    aws_elastic_block_store: Any = None


class Os(Struct):
    name: str = ""


class PodSpec(Struct, rename="camel"):
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    resources: Resources | None = None
    overhead: Quantities | None = None
    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    priority: int | None = None
    active_deadline_seconds: Annotated[int, Meta(le=MAX_INT32)] | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    scheduling_gates: list[Any] | None = None
    topology_spread_constraints: list[SpreadConstraint] | None = None
    resource_claims: list[Any] | None = None
    scheduling_group: Any = None
    volumes: list[Volume] | None = None
    os: Os | None = None


class ContainerStatus(Struct, rename="camel"):
    name: str = ""
    allocated_resources: Quantities | None = None
    resources: Resources | None = None


class Condition(Struct):
    type: str = ""
    status: str = ""
    reason: str = ""


class PodStatus(Struct, rename="camel"):
    phase: str = ""
    reason: str | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    conditions: list[Condition] | None = None
    allocated_resources: Quantities | None = None
    resources: Resources | None = None


class PodObject(Struct):
    metadata: Metadata
    spec: PodSpec
    status: PodStatus = field(default_factory=PodStatus)


class TaintObject(Struct):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Struct):
    unschedulable: bool = False
    taints: list[TaintObject] | None = None


class NodeInfo(Struct):
    boot_id: str = field(default="", name="bootID")


class NodeStatus(Struct, rename="camel"):
    allocatable: Quantities | None = None
    conditions: list[Condition] | None = None
    node_info: NodeInfo = field(default_factory=NodeInfo)


class NodeObject(Struct):
    metadata: Metadata
    spec: NodeSpec = field(default_factory=NodeSpec)
    status: NodeStatus = field(default_factory=NodeStatus)
