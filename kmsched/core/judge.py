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

from kmsched.core.agent_filters import Taken
from kmsched.core.fit import STANDING_FILTERS, TAKEN_FILTERS, Place, Veto, first_objection, veto
from kmsched.core.model import Pod
from kmsched.core.rank import Prospect, Score, at_best, best_of, prospect, score
from kmsched.core.resources import Counts
from kmsched.core.state import PodRecord, State

#: shaky or not, and what `core.rank` says: the smallest is the best, the last is the agent id
Points = tuple[bool, *Score]
T = TypeVar("T")
Work = Generator[int, None, T]

#: agents that are judged before others may have their turn
STRIDE = 250
#: a line-up is made anew when one in so many agents may have changed
RELINE = 2


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, what its pods request then, and who is to go there."""

    place: Place
    used: Counts
    takes: list[tuple[Pod, Taken]] = field(default_factory=list)
    points: dict[Counts, Points] = field(default_factory=dict)  # for pods that wish for nothing and count for so much


@dataclass(slots=True)
class _LineUp:
    """Agents in the order in which it is worth looking at them, as they were when so many changes had been made."""

    agent_ids: list[str]
    prospects: list[Prospect]  # the best of each agent and all behind it
    seen: int


@dataclass(slots=True)
class _Kind:
    """Agents, for pods that are judged alike: those at the head of a line-up, and all that have changed since."""

    allowed: frozenset[str]  # agents that no rule of these pods forbids
    line_up: _LineUp
    seen: int  # how many of the judge's changes
    looked_at: int = 0  # of the line-up
    points: dict[str, Points] = field(default_factory=dict)  # by agent id
    best: list[Points] = field(default_factory=list)  # heap; those that `points` does not have any more are stale
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
    stride: int = STRIDE
    changes: list[str] = field(default_factory=list)  # agent ids, in order
    allowed: dict[Hashable, frozenset[str]] = field(default_factory=dict)  # agent ids, by the rules of pods
    line_up: _LineUp | None = None
    kinds: dict[Hashable, _Kind] = field(default_factory=dict)
    obstacles: dict[Hashable, Obstacles] = field(default_factory=dict)

    def assume(self, plan: Plan, pod: Pod, taken: Taken, rest: Place) -> None:
        """The pod is to go there, and leaves this of it."""
        if not pod.is_bound:
            plan.used = plan.used.plus(pod.counts)
        plan.place = rest
        plan.points.clear()
        plan.takes.append((pod, taken))
        self.changes.append(rest.agent_id)

    def best(self, pod: Pod) -> Work[Plan | None]:
        """None: it fits nowhere."""
        key = self._kind_of(pod)
        kind = self.kinds.get(key)
        if kind is None:
            allowed = yield from self._allowed(pod)
            line_up = yield from self._lined_up()
            kind = self.kinds[key] = _Kind(allowed, line_up, line_up.seen)
        changed = kind.allowed.intersection(self.changes[kind.seen :])
        kind.seen = len(self.changes)
        for agent_ids in self._strides(changed):
            self._look_at(pod, kind, agent_ids)
            yield len(agent_ids)
        while True:
            heap = kind.best
            while heap and kind.points.get(heap[0][-1]) != heap[0]:
                heapq.heappop(heap)
            limit = self._limit(pod, kind)
            if heap and (limit is None or heap[0] <= limit):
                plan = self.plans[heap[0][-1]]
                if self._has_room(pod, plan.place):
                    return plan
                del kind.points[heapq.heappop(heap)[-1]]
            elif limit is None:
                return None
            else:
                following = kind.line_up.agent_ids[kind.looked_at : kind.looked_at + self.stride]
                kind.looked_at += len(following)
                self._look_at(pod, kind, kind.allowed.intersection(following))
                yield len(following)

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
            for agent_ids in self._strides(self.plans):
                for agent_id in agent_ids:
                    place = self.plans[agent_id].place
                    found = veto(pod, place, self.state.settings) or self.state.refusals.veto(pod, place.node_name)
                    if found is not None:
                        kind.vetoes[agent_id] = found
                yield 2 * len(agent_ids)
        return kind.vetoes

    def _look_at(self, pod: Pod, kind: _Kind, agent_ids: Iterable[str]) -> None:
        """Whether there is room is asked only of those that come out best."""
        plans, known, best, counts = self.plans, kind.points, kind.best, pod.counts
        is_plain = not pod.preferred
        for agent_id in agent_ids:
            plan = plans[agent_id]
            points = (plan.points.get(counts) if is_plain else None) or self._points(pod, plan)
            if known.get(agent_id) != points:
                known[agent_id] = points
                heapq.heappush(best, points)

    def _limit(self, pod: Pod, kind: _Kind) -> Points | None:
        """Nobody behind those that were looked at is better; None: there is nobody."""
        if kind.looked_at == len(kind.line_up.agent_ids):
            return None
        best = kind.line_up.prospects[kind.looked_at]
        return False, *at_best(pod, best, self.state.settings.placement)

    def _lined_up(self) -> Work[_LineUp]:
        """The last one serves until many agents have changed since: a kind looks at all of these."""
        if self.line_up is None or RELINE * (len(self.changes) - self.line_up.seen) > len(self.plans):
            placement = self.state.settings.placement
            found: list[tuple[Prospect, str]] = []
            for agent_ids in self._strides(self.plans):
                plans = [self.plans[agent_id] for agent_id in agent_ids]
                found += [(prospect(plan.place, plan.used, placement), plan.place.agent_id) for plan in plans]
                yield len(agent_ids)
            found.sort()
            behind = [found[-1][0]] if found else []
            for one, _ in reversed(found[:-1]):
                behind.append(best_of(one, behind[-1]))
            self.line_up = _LineUp([agent_id for _, agent_id in found], behind[::-1], len(self.changes))
            yield len(found)
        return self.line_up

    def _allowed(self, pod: Pod) -> Work[frozenset[str]]:
        """Agents that no rule of the pod forbids, whatever is free there."""
        rules = rules_of(pod)
        found = self.allowed.get(rules)
        if found is None:
            ids: list[str] = []
            for agent_ids in self._strides(self.plans):
                ids += [each for each in agent_ids if self._is_allowed(pod, self.plans[each].place)]
                yield len(agent_ids)
            found = self.allowed[rules] = frozenset(ids)
        return found

    def _is_allowed(self, pod: Pod, place: Place) -> bool:
        return first_objection(STANDING_FILTERS, pod, place, self.state.settings) is None

    def _has_room(self, pod: Pod, place: Place) -> bool:
        """And is the pod not kept away for a while?"""
        if first_objection(TAKEN_FILTERS, pod, place, self.state.settings) is not None:
            return False
        return pod.owner_uid not in self.refused or self.state.refusals.veto(pod, place.node_name) is None

    def _points(self, pod: Pod, plan: Plan) -> Points:
        """Kept for others that count for as much, where nothing else matters."""
        place, placement = plan.place, self.state.settings.placement
        is_shaky = bool(self.shaky) and place.node_name in self.shaky
        if pod.preferred or place.taints:
            return is_shaky, *score(pod, place, plan.used, placement)
        points = plan.points[pod.counts] = is_shaky, *score(pod, place, plan.used, placement)
        return points

    def _strides(self, agent_ids: Iterable[str]) -> Iterable[list[str]]:
        every = list(agent_ids)
        return (every[at : at + self.stride] for at in range(0, len(every), self.stride))

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
