"""What the core knows of pods, nodes and agents: frozen values, free of any protocol's spelling.

`wire.kube` and `wire.offers` make them; nothing here parses, formats or looks at a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct

from kmsched.core.ports import NO_PORTS, Ports
from kmsched.core.resources import ZERO, Counts, Resources
from kmsched.core.shares import ANYBODYS, UNRESERVED, Flavour, Share
from kmsched.core.symbol import Symbol

ANNOTATION_PREFIX = "k8s.mesosphere.io/"
ATTRIBUTE_LABEL_PREFIX = "k8s.mesosphere.io/attribute-"
TASK_ID_ANNOTATION = ANNOTATION_PREFIX + "taskId"
#: taints that tell the life of a kubelet; no veto where the executor will be started (protocol rule 8)
LIFECYCLE_TAINTS = frozenset({"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
#: values of --placement
SPREAD, PACK = "spread", "pack"
NOTHING: Mapping[str, str] = MappingProxyType({})


class Phase(Symbol):
    """A pod's phase as the API server tells it."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED})


class Taint(Struct, frozen=True, gc=False):
    key: str
    value: str
    effect: str  # NoSchedule | PreferNoSchedule | NoExecute


class Toleration(Struct, frozen=True, gc=False):
    """key "" with operator Exists tolerates all; effect "" means every effect."""

    key: str
    operator: str  # Equal | Exists
    value: str
    effect: str


class Requirement(Struct, frozen=True, gc=False):
    """What a node affinity asks of one label, or of one field of the Node."""

    key: str
    operator: str  # In | NotIn | Exists | DoesNotExist | Gt | Lt
    values: tuple[str, ...] = ()


class NodeTerm(Struct, frozen=True, gc=False):
    """One alternative of a node affinity: every requirement holds.  A term without any matches nothing."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()  # metadata.name is the only field there is


class Unsupported(NamedTuple):
    """A rule in a pod's spec that is not understood, and so cannot be obeyed."""

    filter: str  # the plugin of kube-scheduler that would look at it; "spec" where none does
    words: str


class Wishes(Struct, frozen=True, gc=False):
    """What a pod says to Mesos alone, in annotations and labels of ours."""

    roles: tuple[str, ...] | None = None  # whose offers it may be placed on; None: it names none
    port_mapping: str = ""  # fixed | wildcard; "" as the scheduler is set
    open_ports: tuple[tuple[str, int, str], ...] = ()  # protocol, number, name: containers' ports without a host port
    mapped_ports: tuple[int, ...] = ()  # annotations of its Binding: the host ports that were found for them
    runs_at_most_s: float | None = None  # activeDeadlineSeconds


NO_WISHES = Wishes()


class HostPort(NamedTuple):
    """A port of the host that a container takes; ip "0.0.0.0" is every address."""

    protocol: str  # TCP | UDP | SCTP
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the API server holds it."""

    key: str  # "namespace/name"
    uid: str
    resource_version: str
    scheduler_name: str
    node_name: str  # "" while unbound
    phase: Phase
    is_terminating: bool
    is_static: bool  # static or mirror: kubelet made it, it is counted and never given a task
    is_gated: bool  # has schedulingGates
    priority: int
    created_s: float  # wall time of creation
    requests: Resources  # as Mesos counts them
    counts: Counts  # as kubelet does
    node_selector: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    tolerations: tuple[Toleration, ...] = ()
    extended: tuple[tuple[str, int], ...] = ()  # requested resources of other names
    unsupported: tuple[Unsupported, ...] = ()  # in the order of kube-scheduler's plugins
    is_privileged: bool = False  # has a container that is
    task_id: str = ""  # annotation: the task that is current for this pod
    agent_id: str = ""  # annotation slaveId: the agent of that task
    owner_uid: str = ""
    reason: str = ""  # status.reason: why kubelet or a controller ended it
    node_affinity: tuple[NodeTerm, ...] | None = None  # required: one of these; None asks for nothing
    preferred: tuple[tuple[int, NodeTerm], ...] = ()  # node affinity that is wished for, with its weights
    host_ports: frozenset[HostPort] = frozenset()
    wishes: Wishes = NO_WISHES

    @property
    def is_bound(self) -> bool:
        return bool(self.node_name)

    @property
    def holds_resources(self) -> bool:
        """Does kubelet count it at admission (if it is on a node)?"""
        return self.phase not in _TERMINAL


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes Node."""

    name: str
    allocatable: Counts
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    taints: tuple[Taint, ...] = ()
    is_unschedulable: bool = False  # cordoned
    is_ready: bool = False
    boot_id: str = ""
    agent_id: str = ""  # annotation slaveId, written by the executor, or by the scheduler that made the Node
    extended: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    uid: str = ""
    framework_id: str = ""  # annotation frameworkId, written with that of the agent
    is_promised: bool = False  # made by a scheduler, and no kubelet has been there: what it will have is not known
    resource_version: str = field(default="", compare=False)  # changes with every heartbeat


class Window(NamedTuple):
    """When an agent's machine is to be down for maintenance, in wall time; `end_s` None: nobody has said."""

    start_s: float
    end_s: float | None


def spoken_window(window: Window) -> str:
    """ "from 2026-11-24 10:00 UTC to 2026-11-24 12:00 UTC" """
    end = f" to {_moment(window.end_s)}" if window.end_s is not None else ", with no end"
    return f"from {_moment(window.start_s)}{end}"


def _moment(wall_s: float) -> str:
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%d %H:%M} UTC"


class InverseOffer(NamedTuple):
    """Mesos' question whether an agent may go down then."""

    offer_id: str
    agent_id: str
    unavailable: Window


class Offer(Struct, frozen=True, gc=False):
    """One Mesos offer, in one role."""

    offer_id: str
    agent_id: str
    hostname: str
    resources: Resources  # the sum of its shares
    attributes: Mapping[str, str] = NOTHING
    executor_ids: frozenset[str] = frozenset()  # executors of this framework that run on the agent
    role: str = ANYBODYS.role
    reserved: tuple[Share, ...] = ()  # the parts of it that are reserved for the role
    ports: Ports = NO_PORTS  # of the part that is nobody's
    unavailable: Window | None = None

    @property
    def shares(self) -> tuple[Share, ...]:
        free = self.resources
        if not self.reserved:
            return (Share(UNRESERVED, free, self.ports),)
        for share in self.reserved:
            free = free.minus(share.amount)
        return (*self.reserved, Share(UNRESERVED, free, self.ports))

    @property
    def node_name(self) -> str:
        return self.hostname.lower()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the core must know of the configuration. Durations in seconds."""

    executor_id: str  # of executors whose resources are of `role`, and nobody's before
    executor_resources: Resources = ZERO  # charged once per agent, with its first task
    allow_privileged: bool = False
    placement: str = SPREAD  # or PACK
    ignored_taints: frozenset[str] = LIFECYCLE_TAINTS  # keys; a Node has these until the executor starts its kubelet
    scheduler_name: str = "default-scheduler"
    offer_ttl_s: float = 5.0
    refuse_s: float = 5.0
    launch_timeout_s: float = 120.0
    backoff_first_s: float = 1.0
    backoff_max_s: float = 60.0
    reconcile_interval_s: float = 300.0
    pods_per_node: int = 110
    registers_all: bool = False  # every agent that offers is given a Node
    #: an agent that dies together with the leading master is reported by nobody for 10 minutes at least
    node_silent_s: float = 900.0
    role: str = ANYBODYS.role
    roles: tuple[str, ...] = (ANYBODYS.role,)  # whose offers are taken, the best liked first
    pod_roles: tuple[str, ...] = (ANYBODYS.role,)  # of pods that name none
    #: the other ids that our executor may have, by what its own resources are of
    other_flavours: Mapping[Flavour, str] = field(default_factory=lambda: MappingProxyType({}))
    maps_ports: bool = False  # open ports of pods that do not say how are given host ports

    def flavour_of(self, executor_id: str) -> Flavour | None:
        """None: it is not our executor, but one of another fingerprint."""
        if executor_id == self.executor_id:
            return Flavour(self.role)
        return next((each for each, other in self.other_flavours.items() if other == executor_id), None)

    def id_of(self, flavour: Flavour) -> str:
        return self.executor_id if flavour == Flavour(self.role) else self.other_flavours[flavour]

    slice_work: int = 1500  # agents that are judged before a cycle lets other events be taken; some 5 ms
