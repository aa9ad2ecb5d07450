"""What people may know of the state: plain values for HTTP pages and commands.  Reads, and changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kmsched.core.cycle import why_waiting
from kmsched.core.queue import Waiting
from kmsched.core.state import PodRecord, State
from kmsched.core.tasks import PodState

_REASONS = {
    PodState.LAUNCHING: "its task was launched on {node}; the executor is not ready yet",
    PodState.BINDING: "the executor on {node} is ready; the Binding is on its way",
    PodState.BOUND: "bound to {node}; kubelet starts its containers",
    PodState.RUNNING: "runs on {node}",
    PodState.CHECKING: "bound to {node}; Mesos is being asked for its task",
    PodState.UNREACHABLE: "the agent of {node} is unreachable for Mesos; the pod is left alone",
    PodState.ADOPTING: "runs on {node}; a new task takes it over",
    PodState.ENDED: "its executor reported the end",
    PodState.DONE: "it has ended",
    PodState.COUNTED: "not this scheduler's pod: it only takes room on {node}",
}
_WAITING = {
    Waiting.ACTIVE: "is tried in the next cycle",
    Waiting.BACKOFF: "its last launch failed; it is tried again after a pause",
    Waiting.GATED: "has schedulingGates, or is being deleted",
}


def explain_pod(state: State, key: str) -> dict[str, Any] | None:
    """What is known of the pod "namespace/name"; None if there is no such pod.

    `history`: the newest transitions, `after_s` seconds after the pod was first seen.
    """
    record = state.pods.get(state.uid_of.get(key, ""))
    if record is None:
        return None
    first = record.history[0][0] if record.history else 0.0
    return {
        "pod": key,
        "uid": record.pod.uid,
        "state": record.state.value,
        "reason": _reason(state, record),
        "node": record.node_name,
        "agent_id": record.agent_id,
        "task_id": record.task_id,
        "phase": record.pod.phase.value,
        "vetoes": {
            state.offers.agents[agent_id].hostname: objection.reason
            for agent_id, objection in sorted(record.vetoes.items())
            if agent_id in state.offers.agents
        },
        "history": [{"after_s": round(at - first, 3), "state": s, "reason": why} for at, s, why in record.history],
    }


def _reason(state: State, record: PodRecord) -> str:
    if record.state is PodState.PENDING:
        waiting = state.queue.classes.get(record.pod.uid)
        if waiting in _WAITING:
            return _WAITING[waiting]
        return why_waiting(state, record)
    if record.state is PodState.ORPHANED:
        objections = [objection.reason for objection in record.vetoes.values()]
        what = objections[0] if objections else "waits for an offer of its agent"
        return f"runs on {record.node_name} without a task: {what}"
    return _REASONS[record.state].format(node=record.node_name or "no node")


def summary(state: State) -> dict[str, Any]:
    """Counts, and one line an agent."""
    by_state = Counter(record.state.value for record in state.pods.values())
    return {
        "link": state.link.value,
        "pods": dict(sorted(by_state.items())),
        "queue": state.queue.counts(),
        "offers_held": len(state.offers.agent_of),
        "offers_suppressed": state.is_suppressed,
        "tasks_being_killed": len(state.killing.victims),
        "tasks_being_asked_for": len(state.asking.questions),
        "agents": [
            {
                "hostname": agent.hostname,
                "agent_id": agent.agent_id,
                "executor": agent.executor_id or "none",
                "pods": len(state.on_node.get(agent.node_name, ())),
            }
            for agent in sorted(state.offers.agents.values(), key=lambda a: a.hostname)
        ],
    }
