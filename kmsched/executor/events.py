"""What has happened to the executor: the only input of `executor.core.step`.  Past tense and frozen.

The shell makes them from Mesos' events, from what the API server says of this node and its pods, and from what the
child process does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmsched.core.model import Phase, Taint
from kmsched.core.resources import Resources

#: a pod's terminationGracePeriodSeconds where it does not say
DEFAULT_GRACE_S = 30

# --- from the agent


@dataclass(frozen=True, slots=True)
class Subscribed:
    """`agent` is all that the agent has, `executor` what is charged for this process."""

    agent: Resources
    executor: Resources
    hostname: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TaskLaunched:
    task_id: str
    mode: Literal["bind", "adopt"]
    pod_key: str
    pod_uid: str


@dataclass(frozen=True, slots=True)
class TaskUnreadable:
    """A launch that this executor does not understand; `reason` is told to the scheduler."""

    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class KillRequested:
    """`grace_s`: of its kill policy, as only the agent's own kills have one, when an operator drains it; None: none."""

    task_id: str
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    task_id: str
    update_id: bytes


@dataclass(frozen=True, slots=True)
class SettingsReceived:
    """Of several the highest `version` counts. `log_level` "" and `idle_timeout_s` None: nothing is said of them."""

    version: int
    log_level: str = ""
    idle_timeout_s: float | None = None
    wants_answer: bool = False


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    pass


@dataclass(frozen=True, slots=True)
class AgentLost:
    """The agent will not have this executor back, or has been away for longer than the recovery timeout."""

    reason: str


# --- from Kubernetes


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod bound to this node. `exit_summary`: how its containers ended, in words.

    `grace_s`: how long its containers may take to end; of one that is being deleted, what its deletion says.
    """

    key: str
    uid: str
    phase: Phase
    task_id: str = ""  # annotation: the task that is current for this pod
    has_started: bool = False  # a container of it has been started
    is_terminating: bool = False
    is_static: bool = False
    reason: str = ""
    exit_summary: str = ""
    grace_s: int = DEFAULT_GRACE_S


@dataclass(frozen=True, slots=True)
class PodGone:
    uid: str


@dataclass(frozen=True, slots=True)
class PodsListed:
    """A complete list: pods that are known and not in it are gone."""

    pods: tuple[PodSeen, ...]


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """This node's object; `not_ready_reason` is "" when its condition Ready is True."""

    not_ready_reason: str = ""
    taints: tuple[Taint, ...] = ()
    agent_id: str = ""  # annotation slaveId: the agent that the scheduler takes it for
    framework_id: str = ""  # annotation frameworkId: whose scheduler takes it away


@dataclass(frozen=True, slots=True)
class NodeVanished:
    """There is no object of this node."""


# --- from the child process


@dataclass(frozen=True, slots=True)
class KubeletHealthy:
    pass


@dataclass(frozen=True, slots=True)
class KubeletUnhealthy:
    """It does not answer its health check, or has not been started yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class KubeletExited:
    """It will be started again after a pause."""

    reason: str


@dataclass(frozen=True, slots=True)
class KubeletRefused:
    """kubelet cannot be started here at all, and trying again would not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed; deadlines are looked at."""


Event = (
    Subscribed
    | TaskLaunched
    | TaskUnreadable
    | KillRequested
    | Acknowledged
    | SettingsReceived
    | ShutdownRequested
    | AgentLost
    | PodSeen
    | PodGone
    | PodsListed
    | NodeSeen
    | NodeVanished
    | KubeletHealthy
    | KubeletUnhealthy
    | KubeletExited
    | KubeletRefused
    | Ticked
)
