"""What the scheduler remembers between two events.

Pods with their state and task, nodes, held offers, the queue, and how far the subscription has come.  Only
`core.step` and the modules that it calls change it; everything in it can be rebuilt from Kubernetes and Mesos.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from kmsched.core.asking import Asking
from kmsched.core.effects import Effect
from kmsched.core.executors import Executors
from kmsched.core.fit import Veto
from kmsched.core.killing import Killing
from kmsched.core.model import Node, Pod, Settings
from kmsched.core.offers import AgentOffers, OfferLedger
from kmsched.core.queue import Queue
from kmsched.core.refusals import Refusals
from kmsched.core.registration import Registration
from kmsched.core.resources import NO_COUNTS, ZERO, Counts, Resources
from kmsched.core.shaky import Shaky
from kmsched.core.taskid import spelled
from kmsched.core.tasks import PodState
from kmsched.core.timers import Timers

#: transitions of a pod that are remembered for people
HISTORY = 20
#: uids of deleted pods that are remembered, against answers that are older than the deletion
GONE = 10_000


class Link(Enum):
    """How far the subscription to the Mesos master has come."""

    DISCONNECTED = "disconnected"
    RECONCILING = "reconciling"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class HeldUpdate:
    """A status update that is acknowledged only when the effects of its transition have ended."""

    agent_id: str
    task_id: str
    update_id: str


@dataclass(slots=True)
class PodRecord:
    """One pod, by uid."""

    pod: Pod
    state: PodState
    task_id: str = ""  # its current task; "" none that lives
    agent_id: str = ""
    executor_id: str = ""  # of its task, as updates tell; a predecessor's may be of another fingerprint
    node_name: str = ""  # where the pod is bound or its task was launched
    promised: Resources = ZERO  # what its task holds
    offer_ids: tuple[str, ...] = ()  # that its task was launched on, as far as this process knows
    mapped_ports: tuple[int, ...] = ()  # host ports that its task has for the pod's open ports, likewise
    has_started: bool = False  # the executor of the current task is ready
    is_running: bool = False  # the newest news of the current task
    held: list[HeldUpdate] = field(default_factory=list)
    due_at: float | None = None  # Trigger.DUE
    silent_at: float | None = None  # Trigger.SILENT
    backoff_s: float = 0.0
    attempts: int = 0  # Bindings or patches sent for the current task
    vetoes: Mapping[str, Veto] = field(default_factory=dict)  # by agent id, of the last try; shared, never changed
    waiting_since: float = 0.0
    told: frozenset[str] | None = None  # the causes that its FailedScheduling have named since it began to wait
    history: list[tuple[float, PodState, str]] = field(default_factory=list)  # the newest `HISTORY`
    counted: tuple[str, Counts] | None = None  # node and amount, as `State.usage` has it

    def remember(self, now: float, why: str) -> None:
        """That it is in its state now. A short list: of 100,000 pods each deque's first block would be 60 MB."""
        self.history.append((now, self.state, why))
        if len(self.history) > HISTORY:
            del self.history[0]


@dataclass(slots=True)
class Reconciliation:
    """One implicit reconciliation: its snapshot has ended when the sentinel is answered (protocol rule 16)."""

    sentinel: str = ""
    began_at: float = 0.0
    again_at: float = 0.0
    pause_s: float = 0.0
    next_implicit_at: float = 0.0


@dataclass(slots=True)
class Cycle:
    """A scheduling cycle that is under way: other events are taken between its slices."""

    now: float  # of the slice
    until: float  # what is planned by then is committed
    wakes: int  # of the queue, when it began
    heard: int  # by the state, when it began
    rest: Iterator[int] = field(
        default_factory=lambda: iter(())
    )  # what is still to be done; yields the work it has done


@dataclass(slots=True)
class State:
    settings: Settings
    term: int
    counter: int = 0
    heard: int = 0  # events, but for those that only carry a cycle on
    link: Link = Link.DISCONNECTED
    pods: dict[str, PodRecord] = field(default_factory=dict)
    uid_of: dict[str, str] = field(default_factory=dict)  # pod key -> uid
    nodes: dict[str, Node] = field(default_factory=dict)
    usage: dict[str, Counts] = field(default_factory=dict)  # node -> what its pods request, assumed ones included
    on_node: dict[str, set[str]] = field(default_factory=dict)  # node -> uids of the pods that are counted there
    orphans: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)  # uids
    offers: OfferLedger = field(default_factory=OfferLedger)
    executors: Executors = field(default_factory=Executors)
    queue: Queue = field(default_factory=Queue)
    killing: Killing = field(default_factory=Killing)
    refusals: Refusals = field(default_factory=Refusals)
    registration: Registration = field(default_factory=Registration)
    shaky: Shaky = field(default_factory=Shaky)
    asking: Asking = field(default_factory=Asking)
    reconciliation: Reconciliation = field(default_factory=Reconciliation)
    timers: Timers = field(default_factory=Timers)
    is_suppressed: bool = False
    has_pods: bool = False  # the first complete list has come
    has_nodes: bool = False
    wants_cycle: bool = False
    cycle: Cycle | None = None
    has_fresh_work: bool = False  # pods that no offer has been asked for yet
    revived_at: float = float("-inf")
    orphan_pause_s: float = 1.0  # until the next REVIVE for orphaned pods alone
    report_at: float | None = None  # when a pod that waits without news of offers may be talked about
    gone: OrderedDict[str, None] = field(default_factory=OrderedDict)  # uids of deleted pods, oldest first
    effects: list[Effect] = field(default_factory=list)  # of the step that is under way

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def new_task_id(self, pod_uid: str) -> str:
        self.counter += 1
        return spelled(pod_uid, self.term, self.counter)

    def set_due(self, record: PodRecord, at: float) -> None:
        record.due_at = at
        self.timers.add(at, record.pod.uid)

    def set_silent(self, record: PodRecord, at: float) -> None:
        record.silent_at = at
        self.timers.add(at, record.pod.uid)

    def node_of_agent(self, agent_id: str) -> str:
        """The node name of an agent; "" while neither an offer nor a Node has told it."""
        agent = self.offers.agents.get(agent_id)
        if agent is not None:
            return agent.node_name
        return next((node.name for node in self.nodes.values() if node.agent_id == agent_id), "")

    def other_executor(self, agent: AgentOffers) -> str:
        """The first executor of another fingerprint that runs there: beside it ours would wait for its kubelet."""
        return next((each for each in agent.executor_ids if self.settings.flavour_of(each) is None), "")

    def used_on(self, node_name: str) -> Counts:
        """What its pods request."""
        return self.usage.get(node_name, NO_COUNTS)

    def recount(self, record: PodRecord) -> None:
        """Bring the usage of nodes up to date with this record (protocol rule 9)."""
        wanted = None
        if record.state is not PodState.GONE and record.node_name and record.pod.holds_resources:
            wanted = (record.node_name, record.pod.counts)
        if wanted == record.counted:
            return
        uid = record.pod.uid
        if record.counted is not None:
            node, amount = record.counted
            self.usage[node] = self.usage[node].minus(amount)
            self.on_node[node].discard(uid)
            if not self.on_node[node]:
                del self.on_node[node], self.usage[node]
            self.wants_cycle = self.queue.wake() or self.wants_cycle
        if wanted is not None:
            node, amount = wanted
            self.usage[node] = self.usage.get(node, NO_COUNTS).plus(amount)
            self.on_node.setdefault(node, set()).add(uid)
        record.counted = wanted
