"""Who is best for a pod, within one cycle: equal pods are judged once, and again only where something was taken.

A Deployment's pods are alike, so most of a cycle's work is the same question.  What fits is `core.fit`'s and
`core.refusals`', what is better `core.rank`'s; here is only what need not be asked twice.  The answer is the one that
asking every agent for every pod would give.

What takes long yields the work it has done, in agents that were judged.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kmsched.core.fit import STANDING_FILTERS, TAKEN_FILTERS, Place, Veto, first_objection, veto
from kmsched.core.model import Pod
from kmsched.core.rank import Score, score
from kmsched.core.resources import Counts
from kmsched.core.state import PodRecord, State

#: shaky or not, and what `core.rank` says: the smallest is the best, the last is the agent id
Points = tuple[bool, *Score]
T = TypeVar("T")
Work = Generator[int, None, T]

#: agents that are remembered for a kind of pods: more cost memory with each kind, fewer are used up sooner
SHORTLIST = 2000
#: agents that are judged before others may have their turn
STRIDE = 250


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, what its pods request then, and who is to go there."""

    place: Place
    used: Counts
    uids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Kind:
    """The best agents for pods that are judged alike. `bound`: no other agent is better; None: no other fits."""

    seen: int  # how many of the judge's changes
    points: dict[str, Points]  # by agent id
    best: list[Points]  # heap; those that `points` does not have any more are stale
    bound: Points | None
    vetoes: dict[str, Veto] | None = None  # by agent id, when it fitted nowhere for the first time


@dataclass(slots=True)
class Obstacles:
    """Why a kind of pods waits; shared between them."""

    before: Mapping[str, Veto]  # what it was made from; held, since its identity tells pods with another past
    vetoes: Mapping[str, Veto]  # by agent id, those of earlier tries included
    causes: frozenset[str]
    words: str = ""  # made when they are first told


@dataclass(slots=True)
class Judge:
    state: State
    plans: Mapping[str, Plan]
    shaky: frozenset[str] = frozenset()  # names of nodes
    refused: frozenset[str] = frozenset()  # owners of pods that some Node has refused
    shortlist: int = SHORTLIST
    changes: list[str] = field(default_factory=list)  # agent ids, in order
    allowed: dict[Hashable, frozenset[str]] = field(default_factory=dict)  # agent ids, by the rules of pods
    kinds: dict[Hashable, _Kind] = field(default_factory=dict)
    obstacles: dict[Hashable, Obstacles] = field(default_factory=dict)

    def assume(self, plan: Plan, pod: Pod, rest: Place) -> None:
        """The pod is to go there, and leaves this of it."""
        if not pod.is_bound:
            plan.used = plan.used.plus(pod.counts)
        plan.place = rest
        plan.uids.append(pod.uid)
        self.changes.append(rest.agent_id)

    def best(self, pod: Pod) -> Work[Plan | None]:
        """None: it fits nowhere."""
        key = self._kind_of(pod)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = yield from self._scanned(pod)
        else:
            yield from self._follow_changes(pod, kind)
        while True:
            heap = kind.best
            while heap and kind.points.get(heap[0][-1]) != heap[0]:
                heapq.heappop(heap)
            if heap:
                return self.plans[heap[0][-1]]
            if kind.bound is None:
                return None
            kind = self.kinds[key] = yield from self._scanned(pod)

    def why_not(self, record: PodRecord) -> Work[Obstacles]:
        """Of a pod that fits nowhere. Made once for equal pods with equal past: thousands of them may wait, for
        thousands of agents.
        """
        before, kind = record.vetoes, self._kind_of(record.pod)
        key = (kind, id(before) if before else 0)
        found = self.obstacles.get(key)
        if found is None:
            vetoes = yield from self._vetoes(record.pod, self.kinds[kind])
            known = self.state.offers.agents
            merged = {agent_id: each for agent_id, each in before.items() if agent_id in known} | vetoes
            causes = frozenset(f"{v.filter}/{v.ledger}" if v.shortfall else v.reason for v in merged.values())
            found = self.obstacles[key] = Obstacles(before, merged, causes)
            yield len(merged)
        return found

    def _vetoes(self, pod: Pod, kind: _Kind) -> Work[dict[str, Veto]]:
        if kind.vetoes is None:
            kind.vetoes = {}
            for agent_ids in _strides(self.plans):
                for agent_id in agent_ids:
                    place = self.plans[agent_id].place
                    found = veto(pod, place, self.state.settings) or self.state.refusals.veto(pod, place.node_name)
                    if found is not None:
                        kind.vetoes[agent_id] = found
                yield 2 * len(agent_ids)
        return kind.vetoes

    def _scanned(self, pod: Pod) -> Work[_Kind]:
        allowed = yield from self._allowed(pod)
        found: list[Points] = []
        for agent_ids in _strides(allowed):
            judged = [self._points(pod, self.plans[agent_id]) for agent_id in agent_ids]
            found += [points for points in judged if points is not None]
            yield len(agent_ids)
        heapq.heapify(found)
        best = [heapq.heappop(found) for _ in range(min(self.shortlist, len(found)))]
        yield len(best)
        return _Kind(len(self.changes), {each[-1]: each for each in best}, best, found[0] if found else None)

    def _follow_changes(self, pod: Pod, kind: _Kind) -> Work[None]:
        changed = set(self.changes[kind.seen :])
        kind.seen = len(self.changes)
        changed &= yield from self._allowed(pod)
        for agent_ids in _strides(changed):
            for agent_id in agent_ids:
                points = self._points(pod, self.plans[agent_id])
                if points is None or (kind.bound is not None and points > kind.bound):
                    kind.points.pop(agent_id, None)
                elif kind.points.get(agent_id) != points:
                    kind.points[agent_id] = points
                    heapq.heappush(kind.best, points)
            yield len(agent_ids)

    def _allowed(self, pod: Pod) -> Work[frozenset[str]]:
        """Agents that no rule of the pod forbids, whatever is free there."""
        rules = rules_of(pod)
        found = self.allowed.get(rules)
        if found is None:
            ids: list[str] = []
            for agent_ids in _strides(self.plans):
                ids += [each for each in agent_ids if self._is_allowed(pod, self.plans[each].place)]
                yield len(agent_ids)
            found = self.allowed[rules] = frozenset(ids)
        return found

    def _is_allowed(self, pod: Pod, place: Place) -> bool:
        return first_objection(STANDING_FILTERS, pod, place, self.state.settings) is None

    def _points(self, pod: Pod, plan: Plan) -> Points | None:
        """None: what is free there is not enough, or the pod is kept away for a while."""
        place = plan.place
        if first_objection(TAKEN_FILTERS, pod, place, self.state.settings) is not None:
            return None
        if pod.owner_uid in self.refused and self.state.refusals.veto(pod, place.node_name) is not None:
            return None
        return place.node_name in self.shaky, *score(pod, place, plan.used, self.state.settings.placement)

    def _kind_of(self, pod: Pod) -> Hashable:
        return kind_of(pod, pod.owner_uid in self.refused)


def kind_of(pod: Pod, is_refused: bool = False) -> Hashable:
    """Equal for pods that every filter and the ranking treat alike. `is_refused`: some Node has refused its owner."""
    owner_uid = pod.owner_uid if is_refused else ""
    return pod.requests, pod.counts, pod.host_ports, pod.extended, pod.preferred, owner_uid, rules_of(pod)


def rules_of(pod: Pod) -> Hashable:
    """Equal for pods that `STANDING_FILTERS` treat alike."""
    return (
        tuple(sorted(pod.node_selector.items())),
        pod.tolerations,
        pod.node_affinity,
        pod.unsupported,
        pod.is_privileged,
        pod.node_name,
        pod.wishes,
    )


def _strides(agent_ids: Iterable[str]) -> Iterable[list[str]]:
    every = list(agent_ids)
    return (every[at : at + STRIDE] for at in range(0, len(every), STRIDE))
