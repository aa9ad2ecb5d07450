"""An agent as the next pod would find it: what Mesos offers of it, and what kubelet will count there.

Brings together the held offers, the Node and the pods that are counted on it.  Judging is `core.fit`'s, and taking
`core.cycle`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from kmsched.core.agent_filters import Down, Held, Taken, taken_by
from kmsched.core.fit import NO_PORTS, Place, less_extended
from kmsched.core.model import NOTHING, Pod, Settings, Window, spoken_window
from kmsched.core.nodelabels import node_labels
from kmsched.core.offers import AgentOffers
from kmsched.core.resources import ZERO, whole_counts
from kmsched.core.shares import Flavour, charged, pool_of
from kmsched.core.state import PodRecord, State


def place_of(state: State, agent: AgentOffers, now: float) -> Place:
    """The agent as a pod would find it; one without a Node is judged by the Node that it would get."""
    settings, name = state.settings, agent.node_name
    other = state.other_executor(agent)
    executor_id = other or (settings.executor_id if agent.executor_ids else "")
    difference = state.executors.words(other) if other else ""
    node = state.nodes.get(name)
    used = state.used_on(name)
    records = [state.pods[uid] for uid in state.on_node.get(name, ())]
    ports = frozenset().union(*(record.pod.host_ports for record in records)) if records else NO_PORTS
    held = _held(state, agent, records, now)
    offered = held.offered
    if node is not None and not node.is_promised:
        extended = node.extended
        for record in records:
            if record.pod.extended:
                extended = less_extended(extended, record.pod)
        return Place(
            agent_id=agent.agent_id,
            hostname=agent.hostname,
            node_name=name,
            offered=offered,
            room=node.allocatable.minus(used),
            labels=node.labels,
            taints=node.taints,
            is_cordoned=node.is_unschedulable,
            extended=extended,
            executor_id=executor_id,
            difference=difference,
            used_ports=ports,
            held=held,
        )
    whole = agent.total if agent.executor_ids else agent.total.minus(settings.executor_resources)
    taken = ZERO  # by our own tasks: it is out of the offers already
    for record in records:
        if record.task_id:
            taken = taken.plus(record.promised)
    return Place(
        agent_id=agent.agent_id,
        hostname=agent.hostname,
        node_name=name,
        offered=offered,
        room=replace(whole_counts(whole.plus(taken)).minus(used), pods=settings.pods_per_node - used.pods),
        labels={**(node.labels if node is not None else NOTHING), **node_labels(agent.hostname, agent.attributes)},
        taints=node.taints if node is not None else (),
        is_cordoned=node is not None and node.is_unschedulable,
        executor_id=executor_id,
        difference=difference,
        used_ports=ports,
        held=held,
    )


def take_from(place: Place, pod: Pod, settings: Settings) -> tuple[Taken, Place]:
    """What the pod's task takes of the offers, and the place with the pod there; nothing may have objected.

    Kubelet counts it as one more, unless it is bound already.
    """
    taken, held = taken_by(pod, place.held, settings)
    offered = held.offered
    executor_id = place.executor_id or settings.executor_id  # it will run
    if pod.is_bound:
        return taken, replace(place, held=held, offered=offered, executor_id=executor_id)
    room = place.room.minus(pod.counts)
    return taken, replace(place, held=held, offered=offered, executor_id=executor_id, room=room).less_named(pod)


def _held(state: State, agent: AgentOffers, records: Sequence[PodRecord], now: float) -> Held:
    settings = state.settings
    pools = [pool_of(role, shares) for role, shares in agent.shares_by_role(settings.roles)]
    executor = settings.flavour_of(agent.executor_ids[0]) if agent.executor_ids else None
    if not agent.executor_ids:
        pools = [charged(pool, settings.executor_resources, _flavours(settings, records)) for pool in pools]
    down = _down(agent.unavailable, now + state.offers.wall_ahead_s) if agent.unavailable else None
    return Held(tuple(pools), executor, agent.has_ports, down)


def _flavours(settings: Settings, records: Sequence[PodRecord]) -> Sequence[Flavour]:
    """What an executor that is started there may be of.

    Where one was started lately, offers from before do not name it: only the same could join it.
    """
    started = {record.executor_id for record in records if record.task_id and record.executor_id}
    known = [flavour for each in sorted(started) if (flavour := settings.flavour_of(each)) is not None]
    return known or (Flavour(settings.role), *settings.other_flavours)


def _down(window: Window, wall_s: float) -> Down | None:
    if window.end_s is not None and window.end_s <= wall_s:
        return None
    return Down(window.start_s - wall_s, spoken_window(window))
