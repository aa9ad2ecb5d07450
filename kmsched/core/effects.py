"""What is to be done: the only output of `core.step`.  Imperative, frozen; each carries its cause and its reason.

The runner executes them and feeds back how they ended as events.  Mesos calls keep their order; Kubernetes calls
keep it per pod.
"""

from __future__ import annotations

from msgspec import Struct

from kmsched.core.resources import Resources
from kmsched.core.shares import ANYBODYS, Flavour, Share


class Launch(Struct, frozen=True, gc=False):
    """One task of an ACCEPT. `mode`: "bind" waits for the Binding, "adopt" takes over a pod that is bound."""

    task_id: str
    pod_key: str
    pod_uid: str
    mode: str
    resources: Resources  # pods is never sent: Mesos does not count them
    shares: tuple[Share, ...] = ()  # of which parts of the offers they are


class AcceptOffers(Struct, frozen=True, gc=False):
    """All held offers of one agent in one role, and what is launched on them. The rest is refused for `refuse_s`."""

    agent_id: str
    offer_ids: tuple[str, ...]
    launches: tuple[Launch, ...]
    refuse_s: float
    cause: str
    reason: str
    role: str = ANYBODYS.role
    #: the executor that runs there, or is started by this
    executor_id: str = ""
    flavour: Flavour = ANYBODYS


class DeclineOffers(Struct, frozen=True, gc=False):
    offer_ids: tuple[str, ...]
    refuse_s: float
    cause: str
    reason: str


class SuppressOffers(Struct, frozen=True, gc=False):
    cause: str
    reason: str


class ReviveOffers(Struct, frozen=True, gc=False):
    cause: str
    reason: str


class AnswerInverseOffer(Struct, frozen=True, gc=False):
    """Whether an agent may go down; after `refuse_s` Mesos may ask again."""

    offer_id: str
    agent_id: str
    may_go: bool
    refuse_s: float
    cause: str
    reason: str


class AcknowledgeUpdate(Struct, frozen=True, gc=False):
    agent_id: str
    task_id: str
    update_id: str
    cause: str
    reason: str


class KillTask(Struct, frozen=True, gc=False):
    task_id: str
    agent_id: str  # "" when unknown
    cause: str
    reason: str


class ReconcileTasks(Struct, frozen=True, gc=False):
    """(task_id, agent_id) pairs; none at all asks for every task (implicit)."""

    tasks: tuple[tuple[str, str], ...]
    cause: str
    reason: str


class BindPod(Struct, frozen=True, gc=False):
    key: str
    uid: str
    resource_version: str
    node_name: str
    task_id: str
    annotations: tuple[tuple[str, str], ...]
    cause: str
    reason: str


class AdoptPod(Struct, frozen=True, gc=False):
    """Patch the pod's annotations from the old task to the new one (uid, version and old value are preconditions)."""

    key: str
    uid: str
    resource_version: str
    old_task_id: str
    task_id: str
    annotations: tuple[tuple[str, str], ...]
    cause: str
    reason: str


class ReportPod(Struct, frozen=True, gc=False):
    """An event on the pod that people read: FailedScheduling, Scheduled, ..."""

    key: str
    uid: str
    kind: str  # Normal | Warning
    topic: str  # FailedScheduling | FailedLaunch | Refused
    message: str
    cause: str
    reason: str
    #: what makes it the same news in other words: amounts and counts change from try to try; "" the message itself
    about: str = ""


class ConfigureExecutor(Struct, frozen=True, gc=False):
    """Tell a running executor the hot settings; `version` orders them, the values are the daemon's."""

    agent_id: str
    executor_id: str
    version: int
    cause: str
    reason: str


class RegisterNode(Struct, frozen=True, gc=False):
    """Make the Node of an agent, if there is none: without a kubelet until a pod is placed there."""

    name: str
    agent_id: str
    framework_id: str
    labels: tuple[tuple[str, str], ...]
    cause: str
    reason: str


class RemoveNode(Struct, frozen=True, gc=False):
    """Delete this very Node (uid and version are preconditions), if no pod is bound to it."""

    name: str
    uid: str
    resource_version: str
    cause: str
    reason: str


Effect = (
    AcceptOffers
    | DeclineOffers
    | SuppressOffers
    | ReviveOffers
    | AnswerInverseOffer
    | AcknowledgeUpdate
    | KillTask
    | ReconcileTasks
    | BindPod
    | AdoptPod
    | ReportPod
    | ConfigureExecutor
    | RegisterNode
    | RemoveNode
)
