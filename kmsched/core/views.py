"""What people may know of the state: plain values for HTTP pages and commands.  Reads, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from kmsched.core.cycle import why_waiting
from kmsched.core.model import EXECUTOR_PREFIX
from kmsched.core.queue import Waiting
from kmsched.core.resources import MILLI, ZERO, Resources
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
                "executor": ", ".join(agent.executor_ids) or "none",
                "pods": len(state.on_node.get(agent.node_name, ())),
            }
            for agent in sorted(state.offers.agents.values(), key=lambda a: a.hostname)
        ],
    }


def pending_by_kind(state: State) -> Counter[str]:
    """Pods that wait, by one short word each: what most agents object to, or what they wait for themselves."""
    return Counter(_kind(state, record) for record in _pending(state))


def pending(state: State, limit: int) -> dict[str, Any]:
    """How many pods wait, and the `limit` reasons that most of them wait for, each with one pod that does."""
    groups: dict[str, list[PodRecord]] = {}
    for record in _pending(state):
        groups.setdefault(_reason(state, record), []).append(record)
    most = sorted(groups.items(), key=lambda each: (-len(each[1]), each[0]))[:limit]
    return {
        "pods": sum(len(records) for records in groups.values()),
        "reasons": [
            {"kind": _kind(state, records[0]), "reason": reason, "pods": len(records), "example": records[0].pod.key}
            for reason, records in most
        ],
    }


def _pending(state: State) -> Iterable[PodRecord]:
    return (record for record in state.pods.values() if record.state is PodState.PENDING)


def _kind(state: State, record: PodRecord) -> str:
    waiting = state.queue.classes.get(record.pod.uid)
    if waiting in _WAITING:
        return waiting.value
    kinds = Counter(veto.filter for veto in record.vetoes.values())
    return max(kinds, key=lambda kind: (kinds[kind], kind), default="no_offer")


def agents(state: State) -> list[dict[str, Any]]:
    """Every agent that offered something or runs executors or tasks of ours, by hostname.

    `compatible`: new pods may go there. `differences`: of its executors from ours; None where a spec is unknown, and
    `reason` says so. `fingerprint`: the first digits of the executor that decides this; "" where none runs.
    """
    tasks: dict[str, list[PodRecord]] = {}
    for record in state.pods.values():
        if record.task_id and record.agent_id:
            tasks.setdefault(record.agent_id, []).append(record)
    known = {*state.offers.agents, *state.executors.on_agent, *tasks}
    found = [_agent(state, agent_id, tasks.get(agent_id, [])) for agent_id in known]
    return sorted(found, key=lambda each: (each["hostname"].lower(), each["agent_id"]))


def _agent(state: State, agent_id: str, tasks: list[PodRecord]) -> dict[str, Any]:
    agent = state.offers.agents.get(agent_id)
    hostname = agent.hostname if agent else _first(record.node_name for record in tasks)
    hostname = hostname or state.node_of_agent(agent_id)
    running = state.executors.on_agent.get(agent_id, {})
    ids = sorted(running)
    other = _first(each for each in ids if each != state.settings.executor_id)
    held = ZERO
    for record in tasks:
        held = held.plus(record.promised)
    return {
        "agent_id": agent_id,
        "hostname": hostname,
        "executor_ids": ids,
        "fingerprint": (other or _first(ids)).removeprefix(EXECUTOR_PREFIX),
        "compatible": not other,
        "differences": _differences(state, other),
        "reason": f"executor of another fingerprint ({state.executors.words(other)})" if other else "",
        "settings_versions": {each: executor.settings_version for each, executor in sorted(running.items())},
        "pods": len(state.on_node.get(hostname.lower(), ())),
        "tasks": len(tasks),
        "resources": {"held": _amounts(held), "offered": _amounts(agent.total if agent else ZERO)},
    }


def _differences(state: State, other: str) -> list[str] | None:
    if not other:
        return []
    found = state.executors.differences.get(other)
    return None if found is None else list(found)


def _amounts(resources: Resources) -> dict[str, float]:
    return {
        "cpus": resources.cpus / MILLI,
        "mem_mib": resources.mem / MILLI,
        "disk_mib": resources.disk / MILLI,
        "gpus": resources.gpus / MILLI,
    }


def _first(words: Iterable[str]) -> str:
    return next((each for each in words if each), "")
