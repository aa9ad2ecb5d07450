"""Which pods would go where: one cycle of the scheduler's own core, over Nodes as if each were an agent.

Assumed is that an executor of ours runs on every agent and that Mesos offers all that the Node has left, so the Node's
allocatable less the requests of the pods there decides.  Roles and offered ports are not known here, and not asked
for.  Pods wait in the scheduler's order, whoever's they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kmsched.core.effects import AcceptOffers
from kmsched.core.events import NodesListed, OffersArrived, PodsListed, Ticked
from kmsched.core.fit import explain
from kmsched.core.model import NO_WISHES, Node, Offer, Pod, Settings
from kmsched.core.queue import Waiting
from kmsched.core.resources import Resources
from kmsched.core.state import Link, PodRecord, State
from kmsched.core.step import step

EXECUTOR_ID = "km-0000000000000000"
#: nothing else happens meanwhile
WHOLE_CYCLE = 2**63
#: whose pods are only counted
SOMEBODY_ELSE = ""
ALL = Resources(*[2**63] * 4)
GATED = "it has schedulingGates, or is being deleted"
ENDED = "it has ended"


@dataclass(frozen=True, slots=True)
class Answer:
    """For one pod. `node` is "" where it waits; `why` in words, and by the Node's name."""

    pod: str  # "namespace/name"
    node: str = ""
    was_bound: bool = False
    has_ended: bool = False
    why: str = ""
    vetoes: Mapping[str, str] = field(default_factory=dict)


def place(nodes: Sequence[Node], pods: Sequence[Pod], settings: Settings) -> list[Answer]:
    """For each pod, in the order of `pods`."""
    state = State(replace(settings, executor_id=EXECUTOR_ID, slice_work=WHOLE_CYCLE), term=1, link=Link.ACTIVE)
    offers = tuple(Offer(each.name, each.name, each.name, ALL, executor_ids=frozenset({EXECUTOR_ID})) for each in nodes)
    known = [_known(pod, settings) for pod in pods]
    # where no kubelet was yet the scheduler goes by the offer, and here that has no end
    counted = tuple(replace(each, is_promised=False) for each in nodes)
    launched: dict[str, str] = {}
    for event in (PodsListed(tuple(known)), NodesListed(counted), OffersArrived(offers), Ticked()):
        for effect in step(state, event, 0.0):
            if isinstance(effect, AcceptOffers):
                launched.update((launch.pod_uid, effect.agent_id) for launch in effect.launches)
    return [_answer(state, state.pods[pod.uid], launched) for pod in known]


def unknown(nodes: Sequence[Node]) -> list[str]:
    """The Nodes that say nothing of what they have, so that nothing fits there."""
    return [node.name for node in nodes if node.is_promised]


def lost(nodes: Sequence[Node], pods: Sequence[Pod]) -> dict[str, int]:
    """How many pods run on each Node that is not among `nodes`: they count nowhere."""
    names = {node.name for node in nodes}
    found: dict[str, int] = {}
    for pod in pods:
        if pod.node_name and pod.node_name not in names and pod.holds_resources:
            found[pod.node_name] = found.get(pod.node_name, 0) + 1
    return found


def _known(pod: Pod, settings: Settings) -> Pod:
    """As the scheduler would know it: bound ones have no task to be asked for, and wishes are about Mesos' offers."""
    owner = SOMEBODY_ELSE if pod.is_bound else settings.scheduler_name
    return replace(pod, uid=pod.key, scheduler_name=owner, wishes=NO_WISHES, is_static=pod.is_static and pod.is_bound)


def _answer(state: State, record: PodRecord, launched: Mapping[str, str]) -> Answer:
    pod = record.pod
    if pod.is_bound:
        return Answer(pod.key, pod.node_name, was_bound=True)
    if pod.uid in launched:
        return Answer(pod.key, launched[pod.uid])
    if pod.phase.is_terminal:
        return Answer(pod.key, has_ended=True, why=ENDED)
    if state.queue.class_of(pod.uid) is Waiting.GATED:
        return Answer(pod.key, why=GATED)
    vetoes = {name: f"{veto.filter}: {veto.reason}" for name, veto in record.vetoes.items()}
    return Answer(pod.key, why=explain(list(record.vetoes.values()), len(state.nodes)), vetoes=vetoes)
