"""Who is best for a pod, within one cycle: equal pods are judged once, and again only where something was taken.

A Deployment's pods are alike, so most of a cycle's work is the same question.  What fits is `core.fit`'s and
`core.refusals`', what is better `core.rank`'s; here is only what need not be asked twice.  The answer is the one that
asking every agent for every pod would give.

What takes long yields the work it has done, in agents that were judged.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kmsched.core.agent_filters import Taken
from kmsched.core.fit import STANDING_FILTERS, TAKEN_FILTERS, Place, Veto, first_objection, veto
from kmsched.core.model import Pod
from kmsched.core.rank import PREFER_NO, Prospect, at_best, best_of, prospect, score
from kmsched.core.resources import Counts
from kmsched.core.state import State

T = TypeVar("T")
Work = Generator[int, None, T]

#: agents that are judged before others may have their turn
STRIDE = 250
#: a line-up is made anew when one in so many agents may have changed
RELINE = 2


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, what its pods request then, and who is to go there."""

    number: int  # in the order of agents' ids
    place: Place
    used: Counts
    before: Place  # as it was when the cycle began
    takes: list[tuple[Pod, Taken]] = field(default_factory=list)


@dataclass(slots=True)
class _LineUp:
    """Agents in the order in which it is worth looking at them, as they were when so many changes had been made."""

    numbers: list[int]
    prospects: list[Prospect]  # for each stride the best of it and all behind it
    asks_away: bool  # some have a taint that only asks pods to stay away
    seen: int


@dataclass(slots=True)
class _Scores:
    """What agents are worth to pods that are ranked alike; of those that somebody has looked at."""

    seen: int  # how many of the judge's changes
    of_agent: dict[int, int] = field(default_factory=dict)  # by number


@dataclass(slots=True)
class _Kind:
    """Agents, for pods that are judged alike: those at the head of a line-up, and all that have changed since."""

    allowed: frozenset[int]  # agents that no rule of these pods forbids
    scores: _Scores
    line_up: _LineUp
    seen: int  # how many of the judge's changes
    limit: int | None  # nobody behind those that were looked at is better; None: there is nobody
    looked_at: int = 0  # of the line-up
    best: list[int] = field(default_factory=list)  # heap; those that `scores` does not have any more are stale
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
    """Agents have numbers in the order of their ids, by which ties go.  So one whole number tells a score and an agent,
    which are compared, dozens of times for each pod: the score × how many agents there are + the agent's number.
    """

    state: State
    plans: Sequence[Plan]  # by number
    shaky: frozenset[str] = frozenset()  # names of nodes
    refused: frozenset[str] = frozenset()  # owners of pods that some Node has refused
    stride: int = STRIDE
    changes: list[int] = field(default_factory=list)  # agents, in the order of the changes
    allowed: dict[Hashable, frozenset[int]] = field(default_factory=dict)  # agents, by the rules of pods
    scores: dict[Hashable, _Scores] = field(default_factory=dict)  # by what the ranking looks at
    line_up: _LineUp | None = None
    kinds: dict[Hashable, _Kind] = field(default_factory=dict)
    obstacles: dict[Hashable, Obstacles] = field(default_factory=dict)

    def assume(self, plan: Plan, pod: Pod, taken: Taken, rest: Place) -> None:
        """The pod is to go there, and leaves this of it."""
        if not pod.is_bound:
            plan.used = plan.used.plus(pod.counts)
        plan.place = rest
        plan.takes.append((pod, taken))
        self.changes.append(plan.number)

    def best(self, pod: Pod) -> Work[Plan | None]:
        """None: it fits nowhere."""
        kind = self.kinds.get(self._kind_of(pod))
        if kind is None:
            kind = yield from self._new_kind(pod)
        if min(kind.seen, kind.scores.seen) < len(self.changes):
            yield from self._see_changes(pod, kind)
        best, of_agent, agents = kind.best, kind.scores.of_agent, len(self.plans)
        while True:
            while best and of_agent[best[0] % agents] != best[0]:
                heapq.heappop(best)
            if best and (kind.limit is None or best[0] <= kind.limit):
                plan = self.plans[best[0] % agents]
                # whether there is room is asked only of those that come out best
                if self._has_room(pod, plan.place):
                    return plan
                heapq.heappop(best)
            elif kind.limit is None:
                return None
            else:
                yield self._look_further(pod, kind)

    def why_not(self, pod: Pod, before: Mapping[str, Veto]) -> Work[Obstacles]:
        """Of a pod that `best` has found to fit nowhere, and did so `before`. Made once for equal pods with equal past:
        thousands of them may wait, for thousands of agents.
        """
        kind = self._kind_of(pod)
        key = (kind, id(before) if before else 0)
        found = self.obstacles.get(key)
        if found is None:
            vetoes = yield from self._vetoes(pod, self.kinds[kind])
            known = self.state.offers.agents
            merged = {agent_id: each for agent_id, each in before.items() if agent_id in known} | vetoes
            causes = frozenset(f"{v.filter}/{v.ledger}" if v.shortfall else v.reason for v in merged.values())
            found = self.obstacles[key] = Obstacles(before, merged, causes)
            yield len(merged)
        return found

    def _vetoes(self, pod: Pod, kind: _Kind) -> Work[dict[str, Veto]]:
        if kind.vetoes is None:
            kind.vetoes = {}
            for plans in self._strides(self.plans):
                for plan in plans:
                    place = plan.place
                    found = veto(pod, place, self.state.settings) or self.state.refusals.veto(pod, place.node_name)
                    if found is not None:
                        kind.vetoes[place.agent_id] = found
                yield 2 * len(plans)
        return kind.vetoes

    def _new_kind(self, pod: Pod) -> Work[_Kind]:
        allowed = yield from self._allowed(pod)
        line_up = yield from self._lined_up()
        key = pod.counts, pod.preferred, pod.tolerations if line_up.asks_away else ()
        scores = self.scores.setdefault(key, _Scores(line_up.seen))
        kind = _Kind(allowed, scores, line_up, line_up.seen, self._limit(pod, line_up, 0))
        self.kinds[self._kind_of(pod)] = kind
        return kind

    def _see_changes(self, pod: Pod, kind: _Kind) -> Work[None]:
        """Look again at agents that something was taken from."""
        scores, best = kind.scores, kind.best
        for agents in self._strides(set(self.changes[scores.seen :])):
            self._rank(pod, scores, agents)
            yield len(agents)
        for agents in self._strides(kind.allowed.intersection(self.changes[kind.seen :])):
            for number in agents:
                heapq.heappush(best, scores.of_agent[number])
            yield len(agents)
        scores.seen = kind.seen = len(self.changes)

    def _look_further(self, pod: Pod, kind: _Kind) -> int:
        """Along the line-up; how many agents that were."""
        scores, line_up = kind.scores, kind.line_up
        following = line_up.numbers[kind.looked_at : kind.looked_at + self.stride]
        agents = kind.allowed.intersection(following)
        self._rank(pod, scores, agents - scores.of_agent.keys())
        for number in agents:
            heapq.heappush(kind.best, scores.of_agent[number])
        kind.looked_at += len(following)
        kind.limit = self._limit(pod, line_up, kind.looked_at)
        return len(following)

    def _limit(self, pod: Pod, line_up: _LineUp, looked_at: int) -> int | None:
        if looked_at == len(line_up.numbers):
            return None
        best = line_up.prospects[looked_at // self.stride]
        return at_best(pod, best, self.state.settings.placement) * len(self.plans)

    def _rank(self, pod: Pod, scores: _Scores, agents: Iterable[int]) -> None:
        placement, of_agent, many = self.state.settings.placement, scores.of_agent, len(self.plans)
        for number in agents:
            plan = self.plans[number]
            is_shaky = plan.place.node_name in self.shaky
            of_agent[number] = score(pod, plan.place, plan.used, placement, is_shaky) * many + number

    def _lined_up(self) -> Work[_LineUp]:
        """The last one serves until many agents have changed since: a kind looks at all of these."""
        if self.line_up is None or RELINE * (len(self.changes) - self.line_up.seen) > len(self.plans):
            placement = self.state.settings.placement
            found: list[tuple[Prospect, int]] = []
            asks_away = False
            for plans in self._strides(self.plans):
                found += [(prospect(plan.place, plan.used, placement), plan.number) for plan in plans]
                asks_away = asks_away or any(t.effect == PREFER_NO for plan in plans for t in plan.place.taints)
                yield len(plans)
            found.sort()
            behind: list[Prospect] = []
            for at in reversed(range(0, len(found), self.stride)):
                stride = [one for one, _ in found[at : at + self.stride]]
                behind.append(best_of(stride + behind[-1:]))
            numbers = [number for _, number in found]
            self.line_up = _LineUp(numbers, behind[::-1], asks_away, len(self.changes))
            yield len(found)
        return self.line_up

    def _allowed(self, pod: Pod) -> Work[frozenset[int]]:
        """Agents that no rule of the pod forbids, whatever is free there."""
        rules = rules_of(pod)
        found = self.allowed.get(rules)
        if found is None:
            numbers: list[int] = []
            for plans in self._strides(self.plans):
                numbers += [plan.number for plan in plans if self._is_allowed(pod, plan.place)]
                yield len(plans)
            found = self.allowed[rules] = frozenset(numbers)
        return found

    def _is_allowed(self, pod: Pod, place: Place) -> bool:
        return first_objection(STANDING_FILTERS, pod, place, self.state.settings) is None

    def _has_room(self, pod: Pod, place: Place) -> bool:
        """And is the pod not kept away for a while?"""
        if first_objection(TAKEN_FILTERS, pod, place, self.state.settings) is not None:
            return False
        return pod.owner_uid not in self.refused or self.state.refusals.veto(pod, place.node_name) is None

    def _strides(self, agents: Collection[T]) -> Iterable[Collection[T]]:
        if len(agents) <= self.stride:
            return (agents,)
        every = list(agents)
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
        tuple(sorted(pod.node_selector.items())) if pod.node_selector else (),
        pod.tolerations,
        pod.node_affinity,
        pod.unsupported,
        pod.is_privileged,
        pod.node_name,
        pod.wishes,
    )
