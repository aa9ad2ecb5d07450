"""What has happened: the only input of `core.step`.  Past tense, frozen, free of any protocol's spelling.

`wire` makes those that come from Mesos and Kubernetes; the runner makes those that tell how an effect ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from kmsched.core.model import InverseOffer, Node, Offer, Pod


class TaskState(Enum):
    """Mesos' task states (v1, PARTITION_AWARE)."""

    STAGING = "TASK_STAGING"
    STARTING = "TASK_STARTING"
    RUNNING = "TASK_RUNNING"
    KILLING = "TASK_KILLING"
    FINISHED = "TASK_FINISHED"
    FAILED = "TASK_FAILED"
    KILLED = "TASK_KILLED"
    ERROR = "TASK_ERROR"
    LOST = "TASK_LOST"
    DROPPED = "TASK_DROPPED"
    UNREACHABLE = "TASK_UNREACHABLE"
    GONE = "TASK_GONE"
    GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    UNKNOWN = "TASK_UNKNOWN"


# --- from Kubernetes


@dataclass(frozen=True, slots=True)
class PodsListed:
    """A complete list: pods that are known, not newer than it, and not in it are gone."""

    pods: tuple[Pod, ...]
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class PodChanged:
    pod: Pod


@dataclass(frozen=True, slots=True)
class PodDeleted:
    key: str
    uid: str


@dataclass(frozen=True, slots=True)
class NodesListed:
    """A complete list: nodes that are known and not in it are gone."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NodeChanged:
    node: Node


@dataclass(frozen=True, slots=True)
class NodeDeleted:
    name: str


# --- from Mesos


@dataclass(frozen=True, slots=True)
class Subscribed:
    framework_id: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The subscription ended; all offers are void."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """This process may act again. The subscription stood meanwhile, but what was sent or heard may have been missed."""


@dataclass(frozen=True, slots=True)
class OffersArrived:
    offers: tuple[Offer, ...]
    wall_s: float = 0.0  # wall time when they came: offers tell of maintenance in it
    unreadable: tuple[str, ...] = ()  # ids of offers that cannot be read: only to be given back


@dataclass(frozen=True, slots=True)
class OfferRescinded:
    offer_id: str


@dataclass(frozen=True, slots=True)
class InverseOffersArrived:
    offers: tuple[InverseOffer, ...]


@dataclass(frozen=True, slots=True)
class TaskUpdated:
    """A status update; `update_id` (base64) is "" when it needs no acknowledgement."""

    task_id: str
    state: TaskState
    source: str = ""  # SOURCE_MASTER | SOURCE_AGENT | SOURCE_EXECUTOR
    reason: str = ""
    message: str = ""
    agent_id: str = ""
    executor_id: str = ""
    update_id: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorFailed:
    agent_id: str
    executor_id: str


@dataclass(frozen=True, slots=True)
class AgentFailed:
    agent_id: str


@dataclass(frozen=True, slots=True)
class SettingsConfirmed:
    """An executor says which version of the hot settings it has."""

    agent_id: str
    executor_id: str
    version: int


# --- from the store


@dataclass(frozen=True, slots=True)
class SpecsLearned:
    """Executor id -> in what its spec differs from ours, for every spec that is known but ours."""

    differences: Mapping[str, tuple[str, ...]]


# --- how an effect ended


@dataclass(frozen=True, slots=True)
class AcceptRefused:
    """An ACCEPT was not taken by the master: its tasks never ran."""

    task_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PodBound:
    key: str
    uid: str
    task_id: str
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class BindRefused:
    """Final: 409 or 404.  The pod as it was read afterwards comes as PodChanged or PodDeleted before this."""

    key: str
    uid: str
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BindFailed:
    """Not known to have happened, may be tried again."""

    key: str
    uid: str
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PodAdopted:
    """The annotation names the new task now."""

    key: str
    uid: str
    task_id: str


@dataclass(frozen=True, slots=True)
class AdoptRefused:
    """The pod changed meanwhile or is gone (409 or 404)."""

    key: str
    uid: str
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdoptFailed:
    key: str
    uid: str
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed; deadlines are looked at, and a scheduling cycle may run."""


@dataclass(frozen=True, slots=True)
class CycleInterrupted:
    """Other events have been taken since a slice of the cycle: it may go on."""


Event = (
    PodsListed
    | PodChanged
    | PodDeleted
    | NodesListed
    | NodeChanged
    | NodeDeleted
    | Subscribed
    | Disconnected
    | Resumed
    | OffersArrived
    | OfferRescinded
    | InverseOffersArrived
    | TaskUpdated
    | ExecutorFailed
    | AgentFailed
    | SettingsConfirmed
    | SpecsLearned
    | AcceptRefused
    | PodBound
    | BindRefused
    | BindFailed
    | PodAdopted
    | AdoptRefused
    | AdoptFailed
    | Ticked
    | CycleInterrupted
)
