"""An agent as the next pod would find it: what Mesos offers of it, and what kubelet will count there.

Brings together the held offers, the Node and the pods that are counted on it.  Judging is `core.fit`'s, and taking
`core.cycle`'s.
"""

from __future__ import annotations

from kmsched.core.fit import Place
from kmsched.core.model import HostPort
from kmsched.core.nodelabels import node_labels
from kmsched.core.offers import AgentOffers
from kmsched.core.resources import NO_COUNTS, ZERO, whole_counts
from kmsched.core.state import State


def place_of(state: State, agent: AgentOffers) -> Place:
    """The agent as a pod would find it; one without a Node is judged by the Node that it would get."""
    settings, name = state.settings, agent.node_name
    offered = agent.total
    if not agent.executor_ids:
        offered = offered.minus(settings.executor_resources)
    other = state.other_executor(agent)
    executor_id = other or (settings.executor_id if agent.executor_ids else "")
    difference = state.executors.words(other) if other else ""
    node = state.nodes.get(name)
    used = state.usage.get(name, NO_COUNTS)
    records = [state.pods[uid] for uid in state.on_node.get(name, ())]
    ports: frozenset[HostPort] = frozenset().union(*(r.pod.host_ports for r in records))
    if node is not None:
        extended = dict(node.extended)
        for record in records:
            for kind, amount in record.pod.extended:
                extended[kind] = extended.get(kind, 0) - amount
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
        )
    held = ZERO  # by our own tasks: it is out of the offers already
    for record in records:
        if record.task_id:
            held = held.plus(record.promised)
    return Place(
        agent_id=agent.agent_id,
        hostname=agent.hostname,
        node_name=name,
        offered=offered,
        room=whole_counts(offered.plus(held)).minus(used)._replace(pods=settings.pods_per_node - used.pods),
        labels=node_labels(agent.hostname, agent.attributes),
        executor_id=executor_id,
        difference=difference,
        used_ports=ports,
    )
