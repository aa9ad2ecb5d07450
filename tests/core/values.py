"""What the tests of the core are made of: pods, nodes, offers, and a fold that keeps the time."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import structs

from kmsched.core.effects import AcceptOffers, AcknowledgeUpdate, Effect, KillTask, Launch
from kmsched.core.events import (
    CycleInterrupted,
    Event,
    NodesListed,
    OffersArrived,
    PodChanged,
    PodsListed,
    Subscribed,
    TaskState,
    TaskUpdated,
    Ticked,
)
from kmsched.core.model import Node, Offer, Phase, Pod, Settings, Taint
from kmsched.core.resources import NO_COUNTS, Resources, whole_counts
from kmsched.core.state import Link, PodRecord, State
from kmsched.core.step import step
from kmsched.core.views import Now

EXECUTOR = "km-ours"
SETTINGS = Settings(executor_id=EXECUTOR, executor_resources=Resources(cpus=100, mem=100_000))
SMALL = Resources(cpus=500, mem=100_000, pods=1)
PLENTY = Resources(cpus=4000, mem=4_000_000, disk=4_000_000)

E = TypeVar("E")


def pod(uid: str = "u1", **more: Any) -> Pod:
    given: dict[str, Any] = {
        "key": f"ns/{uid}",
        "uid": uid,
        "resource_version": "1",
        "scheduler_name": "default-scheduler",
        "node_name": "",
        "phase": Phase.PENDING,
        "is_terminating": False,
        "is_static": False,
        "is_gated": False,
        "priority": 0,
        "created_s": 0.0,
        "requests": SMALL,
    }
    wanted = given | more
    return Pod(**({"counts": whole_counts(wanted["requests"])} | wanted))


def bound(uid: str = "u1", task_id: str = "", **more: Any) -> Pod:
    """On agent A1's Node, by the task that is named."""
    return pod(uid, **({"node_name": "a1", "task_id": task_id, "agent_id": "A1" if task_id else ""} | more))


def offer(offer_id: str = "o1", agent_id: str = "A1", **more: Any) -> Offer:
    given: dict[str, Any] = {"hostname": agent_id, "resources": PLENTY}
    return Offer(offer_id, agent_id, **(given | more))


def node(name: str = "a1", **more: Any) -> Node:
    given: dict[str, Any] = {"allocatable": whole_counts(structs.replace(PLENTY, pods=110)), "is_ready": True}
    return Node(name, **(given | more))


def our_node(name: str = "a1", **more: Any) -> Node:
    """The Node of agent A1, whose kubelet was there."""
    ours = {"agent_id": "A1", "framework_id": "F", "uid": "n1", "resource_version": "7", "is_ready": False}
    return node(name, **(ours | more))


def promised_node() -> Node:
    """That of agent A1, made by the scheduler."""
    taint = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")  # for a moment, by admission
    return our_node(is_promised=True, is_ready=True, allocatable=NO_COUNTS, taints=(taint,), labels={"zone": "z1"})


def update(task_id: str, state: TaskState, **more: Any) -> TaskUpdated:
    given: dict[str, Any] = {"agent_id": "A1", "executor_id": EXECUTOR, "source": "SOURCE_EXECUTOR"}
    return TaskUpdated(task_id, state, **(given | more))


class Fold:
    """A scheduler's core in term 2 that is subscribed, knows `pods` and `nodes`, and has settled."""

    def __init__(self, *pods: Pod, nodes: tuple[Node, ...] = (), settings: Settings = SETTINGS) -> None:
        self.now = 100.0
        self.state = State(settings, term=2)
        self.effects: list[Effect] = []
        self.take(PodsListed(pods), NodesListed(nodes), Subscribed("F"))
        self.settle()

    def settle(self) -> list[Effect]:
        sentinel = self.state.reconciliation.sentinel
        return self.take(TaskUpdated(sentinel, TaskState.UNKNOWN, source="SOURCE_MASTER"))

    def take(self, *events: Event) -> list[Effect]:
        self.effects = [effect for event in events for effect in step(self.state, event, self.now)]
        return self.effects

    def tick(self, after_s: float = 0.0) -> list[Effect]:
        self.now += after_s
        return self.take(Ticked())

    def finish(self) -> list[Effect]:
        """Go on with a cycle that is under way until it has ended."""
        found: list[Effect] = []
        while self.state.cycle is not None:
            found += self.take(CycleInterrupted())
        self.effects = found
        return found

    @property
    def moment(self) -> Now:
        """The wall clock is a million seconds ahead."""
        return Now(self.now, self.now + 1e6)

    def of(self, kind: type[E]) -> list[E]:
        """Those effects of the last events that are of this kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def record(self, uid: str = "u1") -> PodRecord:
        return self.state.pods[uid]

    def state_of(self, uid: str = "u1") -> str:
        return self.state.pods[uid].state.value

    # --- the way of a pod, as far as a test wants it

    def launch(self, *offers: Offer) -> list[Launch]:
        """Offers come, a cycle runs; what it launches."""
        self.take(OffersArrived(offers or (offer(),)))
        self.tick()
        return [launch for accept in self.of(AcceptOffers) for launch in accept.launches]

    def start(self, update_id: str = "s1") -> str:
        """The only launch's executor is ready; the task's id."""
        (launch,) = self.launch()
        self.take(update(launch.task_id, TaskState.STARTING, update_id=update_id))
        return launch.task_id

    def run(self) -> str:
        """The pod of the only launch runs; the task's id."""
        task_id = self.start()
        self.take(PodChanged(bound(task_id=task_id, resource_version="2")))
        self.take(update(task_id, TaskState.RUNNING, update_id="r1"))
        assert self.state_of() == "running"
        assert self.state.link is Link.ACTIVE
        return task_id


def acked(fold: Fold) -> list[str]:
    return [effect.update_id for effect in fold.of(AcknowledgeUpdate)]


def killed(fold: Fold) -> list[tuple[str, str]]:
    return [(effect.task_id, effect.reason) for effect in fold.of(KillTask)]
