"""Who is best for a pod, within one cycle: equal pods are judged once, and again only where something was taken.

A Deployment's pods are alike, so most of a cycle's work is the same question.  What fits is `core.fit`'s and
`core.refusals`', what is better `core.rank`'s; here is only what need not be asked twice.  The answer is the one that
asking every agent for every pod would give.

What takes long yields the work it has done, in agents that were judged.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from math import floor
from typing import TypeVar

from msgspec import Struct

from kmsched.core.agent_filters import Taken
from kmsched.core.fit import (
    LABEL_FILTERS,
    STANDING_FILTERS,
    TAKEN_FILTERS,
    Filters,
    Place,
    Veto,
    concerning,
    first_objection,
    veto,
)
from kmsched.core.kinds import ask_of, kind_of, rules_but_for_labels, rules_of
from kmsched.core.line_up import Ask, Field, LineUp
from kmsched.core.model import Pod
from kmsched.core.rank import PREFER_NO, Prospects, at_best, score
from kmsched.core.state import PodRecord, State

T = TypeVar("T")
Work = Generator[int, None, T]

#: agents that are judged before others may have their turn
STRIDE = 250
#: a line-up is made anew when something may have been taken from one in so many agents
RELINE = 2
#: more than any score
NOBODY = 1 << 300


class Take(Struct, frozen=True, gc=False):
    """A pod that is to go to an agent."""

    record: PodRecord
    pod: Pod  # as it was when that was found out
    taken: Taken


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, and who is to go there."""

    number: int  # in the order of agents' ids
    place: Place
    before: Place  # as it was when the cycle began
    takes: list[Take] = field(default_factory=list)


@dataclass(slots=True)
class Obstacles:
    """Why a kind of pods waits; shared between them."""

    before: Mapping[str, Veto]  # what it was made from; held, since its identity tells pods with another past
    vetoes: Mapping[str, Veto]  # by agent id, those of earlier tries included
    causes: frozenset[str]
    words: str = ""  # made when they are first told


@dataclass(slots=True)
class Kind:
    """Pods that are judged alike."""

    ask: Ask
    rule: int
    filters: Filters  # that may object to them, where something was taken
    is_plain: bool  # they wish for nothing, and no agent asks pods to stay away
    vetoes: dict[str, Veto] | None = None  # by agent id, when it fitted nowhere for the first time
    obstacles: dict[int, Obstacles] = field(default_factory=dict)  # by the identity of those of earlier tries


@dataclass(slots=True)
class Judge:
    """Agents have numbers in the order of their ids, by which ties go.  So one whole number tells a score and an agent,
    which are compared, dozens of times for each pod: the score × `base` + the agent's number + 1. Nobody's is a mark.

    Agents become worse with what they take, and that is found out when they come out best.  The few that may have
    become better are told to all asks.

    Rules that allow the same agents are one rule, and a bit; an agent's class is the sum of those that allow it.
    """

    state: State
    plans: Sequence[Plan]  # by number
    prospects: Prospects
    refused: frozenset[str] = frozenset()  # owners of pods that some Node has refused
    stride: int = STRIDE
    taken: int = 0  # so often something was taken from an agent
    improved: list[int] = field(default_factory=list)  # agents that may have become better, or have room again
    rules: dict[frozenset[int], int] = field(default_factory=dict)  # the agents that each allows -> its bit
    rule_of: dict[Hashable, int] = field(default_factory=dict)
    open: dict[Hashable, Sequence[Plan]] = field(default_factory=dict)  # by rules, but for those about labels
    classes: list[int] = field(default_factory=list)  # of agents, by number
    line_up: LineUp | None = None
    asks: dict[Hashable, Ask] = field(default_factory=dict)
    kinds: dict[Hashable, Kind] = field(default_factory=dict)
    base: int = 1
    work: int = 0  # since `worked` was asked
    asks_away: bool = False  # some have a taint that only asks pods to stay away

    def __post_init__(self) -> None:
        self.base = len(self.plans) + 1
        self.classes = [0] * len(self.plans)
        self.asks_away = any(taint.effect == PREFER_NO for plan in self.plans for taint in plan.place.taints)

    def assume(self, plan: Plan, rest: Place) -> None:
        """A pod is to go there, and leaves this of it."""
        held, plan.place = plan.place.held, rest
        self.taken += 1
        # where another role pays for the executor, there may be room again
        if self.prospects.take(plan.number, rest) or (held.executor is None and len(held.pools) > 1):
            self.improved.append(plan.number)

    def known(self, pod: Pod) -> Kind | None:
        """None: its kind is to be prepared first."""
        kind = self.kinds.get(kind_of(pod, pod.owner_uid in self.refused))
        if kind is None or kind.ask.rules < len(self.rules) or kind.ask.improved < len(self.improved):
            return None
        return kind

    def prepare(self, pod: Pod) -> Work[Kind]:
        key = kind_of(pod, pod.owner_uid in self.refused)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = yield from self._new_kind(pod)
        if kind.ask.rules < len(self.rules):
            yield from self._tell_apart(pod, kind.ask)
        while kind.ask.improved < len(self.improved):
            yield self._see_improved(pod, kind.ask)
        return kind

    def worked(self) -> int:
        """The work since this was asked last, in agents that are judged."""
        done, self.work = self.work, 0
        return done

    def best(self, pod: Pod, kind: Kind) -> Plan | None:
        """None: it fits nowhere."""
        ask, base, heaps, columns = kind.ask, self.base, kind.ask.opened(kind.rule), self.prospects
        first, at_rest, per_cpu, per_memory = columns.first, columns.at_rest, columns.per_cpu, columns.per_memory
        is_plain, cpu, memory = kind.is_plain, pod.counts.cpu, pod.counts.memory
        while heaps:
            heap = min(heaps)  # by their heads
            head = heap[0]
            number = head % base - 1
            if number < 0:
                found = ask.field_of(heap)
                if found.looked_at == len(found.line):
                    break
                self.work += self._look_further(pod, ask, found)
                continue
            if is_plain:
                # as `worth`; spelled out, since it is asked several times for each pod
                value = first[number] + floor(at_rest[number] + cpu * per_cpu[number] + memory * per_memory[number])
            else:
                value = score(pod, self.plans[number].place, columns[number])
            now = value * base + number + 1
            if now > head:
                heapreplace(heap, now)
            # whether there is room is asked only of those that come out best
            elif now == head and self._has_room(pod, kind.filters, self.plans[number].place):
                return self.plans[number]
            else:
                # no room, or it became better, and is here again
                heappop(heap)
        return None

    def why_not(self, pod: Pod, kind: Kind, before: Mapping[str, Veto]) -> Work[Obstacles]:
        """Of a pod that `best` has found to fit nowhere, and did so `before`. Made once for equal pods with equal past:
        thousands of them may wait, for thousands of agents.
        """
        key = id(before) if before else 0
        found = kind.obstacles.get(key)
        if found is None:
            vetoes = yield from self._vetoes(pod, kind)
            known = self.state.offers.agents
            merged = {agent_id: each for agent_id, each in before.items() if agent_id in known} | vetoes
            causes = frozenset(f"{v.filter}/{v.ledger}" if v.shortfall else v.reason for v in merged.values())
            found = kind.obstacles[key] = Obstacles(before, merged, causes)
            yield len(merged)
        return found

    def _vetoes(self, pod: Pod, kind: Kind) -> Work[dict[str, Veto]]:
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

    def _new_kind(self, pod: Pod) -> Work[Kind]:
        rule = yield from self._rule(pod)
        line_up = yield from self._lined_up()
        key = ask_of(pod, pod.owner_uid in self.refused), pod.tolerations if self.asks_away else ()
        ask = self.asks.setdefault(key, Ask(line_up.improved))
        return Kind(ask, rule, concerning(TAKEN_FILTERS, pod), not pod.preferred and not self.asks_away)

    def _tell_apart(self, pod: Pod, ask: Ask) -> Work[None]:
        """Classes have become smaller, by rules that came since."""
        line_up = yield from self._lined_up()
        known = [each for one in ask.fields.values() for each in one.heap if each % self.base]
        ask.fields = {one: Field(line_up, line) for one, line in line_up.lines.items()}
        for found in ask.fields.values():
            found.heap.append(self._limit(pod, found))
        for each in known:
            heappush(ask.fields[self.classes[each % self.base - 1]].heap, each)
        ask.open_to.clear()
        ask.rules = len(self.rules)
        yield len(known)

    def _see_improved(self, pod: Pod, ask: Ask) -> int:
        """Look again at agents that may have become better; how many that were."""
        improved = set(self.improved[ask.improved : ask.improved + self.stride])
        ask.improved = min(ask.improved + self.stride, len(self.improved))
        self._rank(pod, ask, improved)
        return len(improved)

    def _look_further(self, pod: Pod, ask: Ask, found: Field) -> int:
        """Along the line; how many agents that were."""
        following = found.line[found.looked_at : found.looked_at + self.stride]
        found.looked_at += len(following)
        heapreplace(found.heap, self._limit(pod, found))
        self._rank(pod, ask, [number for number in following if number not in ask.known])
        ask.known.update(following)
        return len(following)

    def _limit(self, pod: Pod, found: Field) -> int:
        """The mark: nobody behind those that were looked at is better."""
        if found.looked_at == len(found.line):
            return NOBODY * self.base
        number, (first, at_rest) = found.line[found.looked_at], found.line_up.worth
        return at_best(pod, (first[number], at_rest[number], *found.line_up.least)) * self.base

    def _rank(self, pod: Pod, ask: Ask, numbers: Iterable[int]) -> None:
        for number in numbers:
            now = score(pod, self.plans[number].place, self.prospects[number]) * self.base + number + 1
            heappush(ask.fields[self.classes[number]].heap, now)

    def _lined_up(self) -> Work[LineUp]:
        """The last one serves until much was taken since: it promises more than there is, then."""
        line_up = self.line_up
        if line_up is None or RELINE * (self.taken - line_up.taken) > len(self.plans):
            its = self.prospects
            order = sorted(range(len(self.plans)), key=list(zip(its.first, its.at_rest, strict=True)).__getitem__)
            least = min(its.per_cpu, default=0.0), min(its.per_memory, default=0.0)
            worth = its.first[:], its.at_rest[:]
            line_up = self.line_up = LineUp(order, worth, least, self.taken, len(self.improved))
            yield len(order)
        if line_up.rules < len(self.rules):
            line_up.lines = {}
            for number in line_up.order:
                line_up.lines.setdefault(self.classes[number], []).append(number)
            line_up.rules = len(self.rules)
            yield len(line_up.order)
        return line_up

    def _rule(self, pod: Pod) -> Work[int]:
        """Which agents the pod's rules allow, whatever is free there."""
        rules = rules_of(pod)
        rule = self.rule_of.get(rules)
        if rule is None:
            key = rules_but_for_labels(pod)
            if key not in self.open:
                self.open[key] = yield from self._allowed(pod, STANDING_FILTERS, self.plans)
            plans = yield from self._allowed(pod, LABEL_FILTERS, self.open[key])
            allowed = frozenset([plan.number for plan in plans])
            rule = self.rules.get(allowed)
            if rule is None:
                rule = self.rules[allowed] = len(self.rules)
                for number in allowed:
                    self.classes[number] |= 1 << rule
            self.rule_of[rules] = rule
        return rule

    def _allowed(self, pod: Pod, filters: Filters, plans: Sequence[Plan]) -> Work[Sequence[Plan]]:
        concerned, settings = concerning(filters, pod), self.state.settings
        if not concerned:
            return plans
        found: list[Plan] = []
        for some in self._strides(plans):
            yield len(some)
            spared = some
            for _, objection in concerned:
                spared = [plan for plan in spared if objection(pod, plan.place, settings) is None]
            found += spared
        return found

    def _has_room(self, pod: Pod, filters: Filters, place: Place) -> bool:
        """And is the pod not kept away for a while?"""
        if first_objection(filters, pod, place, self.state.settings) is not None:
            return False
        return pod.owner_uid not in self.refused or self.state.refusals.veto(pod, place.node_name) is None

    def _strides(self, agents: Collection[T]) -> Iterable[Collection[T]]:
        if len(agents) <= self.stride:
            return (agents,)
        every = list(agents)
        return (every[at : at + self.stride] for at in range(0, len(every), self.stride))
