"""Best fit by looking at every agent for every pod: the plain way, to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    def take(self, pod: Pod) -> None:
        self.offered_cpus -= pod.requests.cpus
        self.offered_mem -= pod.requests.mem
        self.room_cpus -= pod.counts.cpu
        self.room_memory -= pod.counts.memory
        self.room_pods -= 1


class Naive:
    """Agents as dull records; `place` gives a pod to the one with the least cpu left over."""

    def __init__(self, workload: Workload) -> None:
        self._agents: dict[str, _Agent] = {}
        for offer in workload.offers:
            node = workload.nodes[offer.hostname]
            offered, room = offer.resources.minus(EXECUTOR), node.allocatable
            self._agents[offer.agent_id] = _Agent(
                offer.agent_id, node, offered.cpus, offered.mem, room.cpu, room.memory, room.pods
            )

    def assume(self, pods: Iterable[Pod], placed: Mapping[str, str]) -> None:
        """These have gone where `placed` (pod uid -> agent id) says."""
        for pod in pods:
            if pod.uid in placed:
                self._agents[placed[pod.uid]].take(pod)

    def place(self, pods: Iterable[Pod]) -> dict[str, str]:
        """Pod uid -> agent id."""
        placed = {}
        for pod in pods:
            best: _Agent | None = None
            for agent in self._agents.values():
                if (best is None or agent.offered_cpus < best.offered_cpus) and _fits(pod, agent):
                    best = agent
            if best is not None:
                placed[pod.uid] = best.agent_id
                best.take(pod)
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
