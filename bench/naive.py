"""Best fit by looking at every agent for every pod: the plain way, to compare with."""

from __future__ import annotations

from dataclasses import dataclass

from bench.workload import EXECUTOR, Workload
from kmsched.core.model import Node, Pod


@dataclass(slots=True)
class _Agent:
    agent_id: str
    node: Node
    offered_cpus: int
    offered_mem: int
    room_cpus: int
    room_memory: int
    room_pods: int


def place(workload: Workload) -> dict[str, str]:
    """Pod uid -> agent id: each pod, oldest first, where the least is left over."""
    agents = []
    for offer in workload.offers:
        node = workload.nodes[offer.hostname]
        offered, room = offer.resources.minus(EXECUTOR), node.allocatable
        agents.append(_Agent(offer.agent_id, node, offered.cpus, offered.mem, room.cpu, room.memory, room.pods))
    placed = {}
    for pod in sorted(workload.pods, key=lambda each: each.created_s):
        best: _Agent | None = None
        for agent in agents:
            if _fits(pod, agent) and (best is None or agent.offered_cpus < best.offered_cpus):
                best = agent
        if best is not None:
            placed[pod.uid] = best.agent_id
            best.offered_cpus -= pod.requests.cpus
            best.offered_mem -= pod.requests.mem
            best.room_cpus -= pod.requests.cpus
            best.room_memory -= pod.counts.memory
            best.room_pods -= 1
    return placed


def _fits(pod: Pod, agent: _Agent) -> bool:
    want = pod.requests
    if want.cpus > agent.offered_cpus or want.mem > agent.offered_mem:
        return False
    if want.cpus > agent.room_cpus or pod.counts.memory > agent.room_memory or agent.room_pods < 1:
        return False
    for key, value in pod.node_selector.items():
        if agent.node.labels.get(key) != value:
            return False
    for taint in agent.node.taints:
        if not any(t.key == taint.key and t.value == taint.value for t in pod.tolerations):
            return False
    return True
