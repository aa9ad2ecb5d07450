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
from operator import attrgetter
from typing import TypeVar

from kmsched.core.agent_filters import Taken
from kmsched.core.fit import STANDING_FILTERS, TAKEN_FILTERS, Place, Veto, first_objection, veto
from kmsched.core.kinds import ask_of, kind_of, rules_of
from kmsched.core.model import Pod
from kmsched.core.rank import PREFER_NO, Prospect, at_best, best_of, prospect, score
from kmsched.core.resources import Counts
from kmsched.core.state import State

T = TypeVar("T")
_BY_HEAP = attrgetter("heap")  # lists are compared by their heads
Work = Generator[int, None, T]

#: agents that are judged before others may have their turn
STRIDE = 250
#: a line-up is made anew when one in so many agents may have changed
RELINE = 2
#: more than any score
NOBODY = 1 << 300


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, what its pods request then, and who is to go there."""

    number: int  # in the order of agents' ids
    place: Place
    used: Counts
    before: Place  # as it was when the cycle began
    takes: list[tuple[Pod, Taken]] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    """Agents of one class, in the order in which it is worth looking at them."""

    numbers: list[int]
    prospects: list[Prospect]  # for each stride the best of it and all behind it


@dataclass(slots=True)
class _LineUp:
    """All agents as they were when so many changes had been made, the most promising first."""

    prospects: list[tuple[Prospect, int]]
    asks_away: bool  # some have a taint that only asks pods to stay away
    seen: int
    rules: int = 0  # so many of the judge's rules tell its classes apart
    lines: dict[int, _Line] = field(default_factory=dict)  # by class


@dataclass(slots=True)
class _Field:
    """A class of agents, for pods that ask for the same: those at the head of the line, and all that have changed."""

    line: _Line
    #: what agents are worth, or were before they became worse; and a mark, worth as much as anybody who is not here
    heap: list[int]
    looked_at: int = 0  # of the line


@dataclass(slots=True)
class _Ask:
    """Agents, for pods that differ in their rules at most."""

    seen: int  # how many of the judge's changes
    rules: int = 0  # so many of the judge's rules tell its classes apart
    scores: dict[int, int] = field(default_factory=dict)  # of agents that are in a heap, by number
    fields: dict[int, _Field] = field(default_factory=dict)  # by class
    open_to: dict[int, list[_Field]] = field(default_factory=dict)  # by rule

    def opened(self, rule: int) -> list[_Field]:
        """Those of the classes that the rule allows."""
        found = self.open_to.get(rule)
        if found is None:
            found = self.open_to[rule] = [one for each, one in self.fields.items() if each >> rule & 1]
        return found


@dataclass(slots=True)
class _Kind:
    """Pods that are judged alike."""

    ask: _Ask
    rule: int
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
    which are compared, dozens of times for each pod: the score × `base` + the agent's number + 1. Nobody's is a mark.

    Rules that allow the same agents are one rule, and a bit; an agent's class is the sum of those that allow it.
    """

    state: State
    plans: Sequence[Plan]  # by number
    shaky: frozenset[str] = frozenset()  # names of nodes
    refused: frozenset[str] = frozenset()  # owners of pods that some Node has refused
    stride: int = STRIDE
    changes: list[int] = field(default_factory=list)  # agents, in the order of the changes
    rules: dict[frozenset[int], int] = field(default_factory=dict)  # the agents that each allows -> its bit
    rule_of: dict[Hashable, int] = field(default_factory=dict)
    classes: list[int] = field(default_factory=list)  # of agents, by number
    line_up: _LineUp | None = None
    asks: dict[Hashable, _Ask] = field(default_factory=dict)
    kinds: dict[Hashable, _Kind] = field(default_factory=dict)
    obstacles: dict[Hashable, Obstacles] = field(default_factory=dict)
    base: int = 1

    def __post_init__(self) -> None:
        self.base = len(self.plans) + 1
        self.classes = [0] * len(self.plans)

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
        ask = kind.ask
        if ask.rules < len(self.rules):
            yield from self._tell_apart(pod, ask)
        while ask.seen < len(self.changes):
            yield self._see_changes(pod, ask)
        scores, base, fields = ask.scores, self.base, ask.opened(kind.rule)
        while fields:
            found = min(fields, key=_BY_HEAP)
            heap = found.heap
            head = heap[0]
            number = head % base - 1
            if number < 0:
                if found.looked_at == len(found.line.numbers):
                    break
                yield self._look_further(pod, ask, found)
                continue
            now = scores.get(number)
            if now == head:
                plan = self.plans[number]
                # whether there is room is asked only of those that come out best
                if self._has_room(pod, plan.place):
                    return plan
                del scores[number]
                heapq.heappop(heap)
            elif now is not None and now > head:
                heapq.heapreplace(heap, now)
            else:
                heapq.heappop(heap)
        return None

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
        rule = yield from self._rule(pod)
        line_up = yield from self._lined_up()
        key = ask_of(pod, pod.owner_uid in self.refused), pod.tolerations if line_up.asks_away else ()
        ask = self.asks.setdefault(key, _Ask(line_up.seen))
        kind = self.kinds[self._kind_of(pod)] = _Kind(ask, rule)
        return kind

    def _tell_apart(self, pod: Pod, ask: _Ask) -> Work[None]:
        """Classes have become smaller, by rules that came since."""
        line_up = yield from self._lined_up()
        known = [each for one in ask.fields.values() for each in one.heap if each % self.base]
        ask.fields = {one: _Field(line, [self._limit(pod, line, 0)]) for one, line in line_up.lines.items()}
        for each in known:
            heapq.heappush(ask.fields[self.classes[each % self.base - 1]].heap, each)
        ask.open_to.clear()
        ask.rules = len(self.rules)
        yield len(known)

    def _see_changes(self, pod: Pod, ask: _Ask) -> int:
        """Look again at agents that something was taken from; how many that were."""
        changed = set(self.changes[ask.seen : ask.seen + self.stride])
        ask.seen = min(ask.seen + self.stride, len(self.changes))
        self._rank(pod, ask, changed)
        return len(changed)

    def _look_further(self, pod: Pod, ask: _Ask, found: _Field) -> int:
        """Along the line; how many agents that were."""
        line = found.line
        following = line.numbers[found.looked_at : found.looked_at + self.stride]
        found.looked_at += len(following)
        heapq.heapreplace(found.heap, self._limit(pod, line, found.looked_at))
        self._rank(pod, ask, [number for number in following if number not in ask.scores])
        return len(following)

    def _limit(self, pod: Pod, line: _Line, looked_at: int) -> int:
        """The mark: nobody behind those that were looked at is better."""
        if looked_at == len(line.numbers):
            return NOBODY * self.base
        return at_best(pod, line.prospects[looked_at // self.stride], self.state.settings.placement) * self.base

    def _rank(self, pod: Pod, ask: _Ask, numbers: Iterable[int]) -> None:
        """What has become worse stays in its heap with what it was worth, until it comes out best."""
        placement, scores, base, fields = self.state.settings.placement, ask.scores, self.base, ask.fields
        for number in numbers:
            plan = self.plans[number]
            place = plan.place
            now = score(pod, place, plan.used, placement, place.node_name in self.shaky) * base + number + 1
            before = scores.get(number)
            scores[number] = now
            if before is None or now < before:
                heapq.heappush(fields[self.classes[number]].heap, now)

    def _lined_up(self) -> Work[_LineUp]:
        """The last one serves until many agents have changed since: a new ask looks at all of these."""
        line_up = self.line_up
        if line_up is None or RELINE * (len(self.changes) - line_up.seen) > len(self.plans):
            placement = self.state.settings.placement
            found: list[tuple[Prospect, int]] = []
            asks_away = False
            for plans in self._strides(self.plans):
                found += [(prospect(plan.place, plan.used, placement), plan.number) for plan in plans]
                asks_away = asks_away or any(t.effect == PREFER_NO for plan in plans for t in plan.place.taints)
                yield len(plans)
            found.sort()
            line_up = self.line_up = _LineUp(found, asks_away, len(self.changes))
            yield len(found)
        if line_up.rules < len(self.rules):
            by_class: dict[int, list[tuple[Prospect, int]]] = {}
            for each in line_up.prospects:
                by_class.setdefault(self.classes[each[1]], []).append(each)
            line_up.lines = {one: self._line(found) for one, found in by_class.items()}
            line_up.rules = len(self.rules)
            yield len(line_up.prospects)
        return line_up

    def _line(self, found: Sequence[tuple[Prospect, int]]) -> _Line:
        behind: list[Prospect] = []
        for at in reversed(range(0, len(found), self.stride)):
            stride = [one for one, _ in found[at : at + self.stride]]
            behind.append(best_of(stride + behind[-1:]))
        return _Line([number for _, number in found], behind[::-1])

    def _rule(self, pod: Pod) -> Work[int]:
        """Which agents the pod's rules allow, whatever is free there."""
        rules = rules_of(pod)
        rule = self.rule_of.get(rules)
        if rule is None:
            numbers: list[int] = []
            for plans in self._strides(self.plans):
                numbers += [plan.number for plan in plans if self._is_allowed(pod, plan.place)]
                yield len(plans)
            allowed = frozenset(numbers)
            rule = self.rules.get(allowed)
            if rule is None:
                rule = self.rules[allowed] = len(self.rules)
                for number in numbers:
                    self.classes[number] |= 1 << rule
            self.rule_of[rules] = rule
        return rule

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
