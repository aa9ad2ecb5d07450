"""What people may know of pods: where they are, and why they wait.  Plain values for pages; reads, and changes nothing.

Thousands of pods may wait for thousands of agents: what equal pods have in common is put into words once an answer, and
every list has a limit.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from kmsched.core.cycle import explain_vetoes, known_agents
from kmsched.core.fit import Veto
from kmsched.core.intake import is_ours
from kmsched.core.queue import Waiting
from kmsched.core.resources import MILLI, Resources
from kmsched.core.state import Link, PodRecord, State
from kmsched.core.tasks import PodState
from kmsched.errors import NotFound, Unavailable

#: agents that an explanation names, each with its reason
MAX_VETOES = 1000
#: of the vetoes of one pod, to find out what most agents object to
SAMPLE = 1000
#: vetoes that one answer goes through: the scheduler does nothing else meanwhile
MAX_WORDED = 50_000
#: pods that are named instead of one that is not known
MAX_SIMILAR = 3
NO_OFFER = "without an offer now"

_REASONS = {
    PodState.LAUNCHING: "its task was launched on {node}; the executor is not ready yet",
    PodState.BINDING: "the executor on {node} is ready; the Binding is on its way",
    PodState.BOUND: "bound to {node}; kubelet starts its containers",
    PodState.RUNNING: "runs on {node}",
    PodState.CHECKING: "bound to {node}; Mesos is being asked for its task",
    PodState.UNREACHABLE: "the agent of {node} is unreachable for Mesos; the pod is left alone",
    PodState.ADOPTING: "runs on {node}; a new task takes it over",
    PodState.ENDED: "its executor reported the end; the pod itself does not say so yet",
}
_IN_COMMON = {
    Waiting.BACKOFF: "its last launch failed; it is tried again after a pause",
    Waiting.GATED: "has schedulingGates, or is being deleted",
}
_UNLINKED = {
    Link.DISCONNECTED: "this scheduler has no subscription with a Mesos master, so it places nothing now;"
    " /leader tells who leads, /readyz what is missing",
    Link.RECONCILING: "waits until Mesos has told the state of all tasks",
}


class Now(NamedTuple):
    """One moment on both clocks, in seconds: what is remembered has monotonic times, people read the others."""

    monotonic: float
    wall: float

    def ago_s(self, at: float) -> float:
        return round(self.monotonic - at, 3)

    def time_s(self, at: float) -> float:
        return round(self.wall - self.monotonic + at, 3)


class Part(NamedTuple):
    """Which part of a list is asked for: at most `limit` of those that come after `after`."""

    limit: int
    after: str = ""

    def of(self, keys: Iterable[str]) -> tuple[list[str], str | None]:
        """Those keys in order, and where the next part begins; None: there is none."""
        found = heapq.nsmallest(self.limit + 1, (key for key in keys if key > self.after))
        more = len(found) > self.limit
        return found[: self.limit], found[self.limit - 1] if more else None


@dataclass(slots=True)
class Reasons:
    """Why pods are where they are, in words; those of equal vetoes are made once. For one answer."""

    state: State
    now: Now
    _agents: int | None = None
    _worded: int = 0  # vetoes
    _words: dict[int, str] = field(default_factory=dict)  # by identity of the vetoes: records hold them meanwhile

    def of(self, record: PodRecord) -> str:
        match record.state:
            case PodState.PENDING:
                return self._pending(record)
            case PodState.ORPHANED:
                objections = [objection.reason for objection in record.vetoes.values()]
                what = objections[0] if objections else "waits for an offer of its agent"
                return f"runs on {record.node_name} without a task: {what}"
            case PodState.COUNTED:
                return f"{_whose(self.state, record)}: {_where(record)}"
            case PodState.DONE:
                pod = record.pod
                how = f"{pod.phase.value} ({pod.reason})" if pod.reason else pod.phase.value
                whose = "" if is_ours(self.state, pod) else f"; {_whose(self.state, record)}"
                return f"it has ended: {how}{whose}"
            case _:
                return _REASONS[record.state].format(node=record.node_name or "an agent")

    def _pending(self, record: PodRecord) -> str:
        state, pod = self.state, record.pod
        waiting = state.queue.class_of(pod.uid)
        if waiting is Waiting.GATED:
            return "is being deleted" if pod.is_terminating else "has schedulingGates, which somebody has to take away"
        if state.link is not Link.ACTIVE:
            return _UNLINKED[state.link]
        if waiting is Waiting.BACKOFF:
            left_s = max(0.0, state.queue.ready_at.get(pod.uid, 0.0) - self.now.monotonic)
            why = record.history[-1][2] if record.history else ""
            return f"its last launch failed ({why}); it is tried again in {left_s:.0f} s"
        if waiting is Waiting.ACTIVE and not record.vetoes:
            return "is tried in the next cycle"
        return self.of_vetoes(record.vetoes)

    def in_common(self, record: PodRecord) -> str:
        """For all pods that wait in the same class, with the same vetoes."""
        waiting = self.state.queue.class_of(record.pod.uid)
        return _IN_COMMON[waiting] if waiting in _IN_COMMON else self.of(record)

    def of_vetoes(self, vetoes: Mapping[str, Veto]) -> str:
        if self._agents is None:
            self._agents = known_agents(self.state)
        words = self._words.get(id(vetoes))
        if words is None:
            if self._worded >= MAX_WORDED:
                return f"0/{self._agents} agents: ask for this pod alone to be told why"
            self._worded += len(vetoes)
            words = self._words[id(vetoes)] = explain_vetoes(vetoes, self._agents)
        return words


def _whose(state: State, record: PodRecord) -> str:
    pod = record.pod
    if pod.is_static:
        return "a static pod, which its node's kubelet made"
    if pod.scheduler_name != state.settings.scheduler_name:
        return (
            f"not this scheduler's pod (its schedulerName is {pod.scheduler_name!r}, and"
            f" {state.settings.scheduler_name!r} is placed here)"
        )
    return "not bound by this scheduler"


def _where(record: PodRecord) -> str:
    return f"it only takes room on {record.node_name}" if record.node_name else "it waits for another one"


def explain_pod(state: State, key: str, now: Now) -> dict[str, Any]:
    """What is known of the pod "namespace/name". NotFound: there is none. Unavailable: pods are not listed yet.

    `vetoes`: hostname -> why not there, of the last try. `history`: the newest transitions, oldest first.
    """
    record = state.pods.get(state.uid_of.get(key, ""))
    if record is None:
        raise _unknown(state, key)
    pod = record.pod
    first = record.history[0][0] if record.history else now.monotonic
    vetoes = dict(islice(_by_host(state, record), MAX_VETOES))
    return {
        **_in_brief(state, record, Reasons(state, now), now),
        "agent_id": record.agent_id,
        "task_id": record.task_id,
        "executor_id": record.executor_id,
        "phase": pod.phase.value,
        "scheduler_name": pod.scheduler_name,
        "priority": pod.priority,
        "requests": {**amounts(pod.requests), **dict(pod.extended)},
        "created_s": pod.created_s,
        "vetoes": vetoes,
        "vetoes_left_out": max(0, len(record.vetoes) - len(vetoes)),
        "history": [
            {
                "time_s": now.time_s(at),
                "ago_s": now.ago_s(at),
                "after_s": round(at - first, 3),
                "state": became.value,
                "reason": why,
            }
            for at, became, why in record.history
        ],
    }


def _in_brief(state: State, record: PodRecord, reasons: Reasons, now: Now) -> dict[str, Any]:
    since = record.history[-1][0] if record.history else now.monotonic
    waiting = state.queue.class_of(record.pod.uid)
    return {
        "pod": record.pod.key,
        "uid": record.pod.uid,
        "state": record.state.value,
        "reason": reasons.of(record),
        "waiting": waiting.value if waiting is not None else None,
        "since_s": now.time_s(since),
        "for_s": now.ago_s(since),
        "node": record.node_name,
    }


def _by_host(state: State, record: PodRecord) -> Iterator[tuple[str, str]]:
    known = state.offers.agents
    hosts = {known[agent_id].hostname: veto.reason for agent_id, veto in record.vetoes.items() if agent_id in known}
    if record.state is PodState.PENDING:
        heard = {host.lower() for host in hosts}
        others = {agent.hostname for agent in known.values()} | state.nodes.keys()
        hosts |= {host: NO_OFFER for host in others if host.lower() not in heard}
    yield from sorted(hosts.items())


def _unknown(state: State, key: str) -> NotFound | Unavailable:
    if not state.has_pods:
        return Unavailable(f"nothing is known of {key} yet: the Kubernetes API has not told this scheduler its pods")
    namespace, _, name = key.partition("/")
    same = (each for each in state.uid_of if each.endswith(f"/{name}") or each.startswith(f"{namespace}/{name}"))
    similar = ", ".join(heapq.nsmallest(MAX_SIMILAR, same))
    hint = f"there is {similar}" if similar else "see kubectl get pods --all-namespaces"
    return NotFound(f"no pod {key} is known; {hint}")


def pods(
    state: State, part: Part, now: Now, *, states: frozenset[str] = frozenset(), namespace: str = ""
) -> dict[str, Any]:
    """The pods that are in one of `states` (none: in any), by key. `next`: the `after` of the part that follows."""
    prefix = f"{namespace}/" if namespace else ""
    wanted = (
        key
        for key, uid in state.uid_of.items()
        if key.startswith(prefix) and (not states or state.pods[uid].state.value in states)
    )
    keys, following = part.of(wanted)
    reasons = Reasons(state, now)
    records = (state.pods[state.uid_of[key]] for key in keys)
    return {"pods": [_in_brief(state, record, reasons, now) for record in records], "next": following}


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
    found: Counter[str] = Counter()
    for records in _alike(state):
        found[_kind(state, records[0])] += len(records)
    return found


def pending(state: State, limit: int, now: Now) -> dict[str, Any]:
    """How many pods wait, and the `limit` reasons that most of them wait for, each with one pod that does."""
    groups: dict[str, list[PodRecord]] = {}
    reasons = Reasons(state, now)
    alike = sorted(_alike(state), key=len, reverse=True)
    for records in alike[:limit]:
        groups.setdefault(reasons.in_common(records[0]), []).extend(records)
    most = sorted(groups.items(), key=lambda each: (-len(each[1]), each[0]))[:limit]
    return {
        "pods": sum(len(records) for records in alike),
        "reasons": [
            {"kind": _kind(state, records[0]), "reason": reason, "pods": len(records), "example": records[0].pod.key}
            for reason, records in most
        ],
    }


def _alike(state: State) -> Iterable[list[PodRecord]]:
    """Pods that wait, those that are in the same class and have the same vetoes together."""
    groups: dict[tuple[Waiting | None, int], list[PodRecord]] = {}
    for record in state.pods.values():
        if record.state is PodState.PENDING:
            waiting = state.queue.class_of(record.pod.uid)
            groups.setdefault((waiting, id(record.vetoes) if record.vetoes else 0), []).append(record)
    return groups.values()


def _kind(state: State, record: PodRecord) -> str:
    waiting = state.queue.class_of(record.pod.uid)
    if waiting is not None and waiting is not Waiting.UNSCHEDULABLE:
        return str(waiting.value)
    kinds = Counter(veto.filter for veto in islice(record.vetoes.values(), SAMPLE))
    return max(kinds, key=lambda kind: (kinds[kind], kind), default="no_offer")


def amounts(resources: Resources) -> dict[str, float]:
    return {
        "cpus": resources.cpus / MILLI,
        "mem_mib": resources.mem / MILLI,
        "disk_mib": resources.disk / MILLI,
        "gpus": resources.gpus / MILLI,
    }
