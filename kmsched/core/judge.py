"""Who is best for a pod, within one cycle: equal pods are judged once, and again only where something was taken.

A Deployment's pods are alike, so most of a cycle's work is the same question.  What fits is `core.fit`'s and
`core.refusals`', what is better `core.rank`'s; here is only what need not be asked twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from kmsched.core.effects import Launch
from kmsched.core.fit import Place, Veto, veto
from kmsched.core.model import Pod
from kmsched.core.rank import Score, score
from kmsched.core.resources import NO_COUNTS
from kmsched.core.shares import ANYBODYS, Flavour
from kmsched.core.state import State

#: shaky or not, and what `core.rank` says: the smallest is the best, the last is the agent id
Points = tuple[bool, *Score]


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, and what is launched there."""

    place: Place
    launches: dict[str, list[Launch]] = field(default_factory=dict)  # by the role whose offers they take
    flavour: Flavour = ANYBODYS  # of the executor that they run under


@dataclass(slots=True)
class _Verdicts:
    """On one kind of pod."""

    seen: int = 0  # how many of the judge's changes
    vetoes: dict[str, Veto] = field(default_factory=dict)  # by agent id
    points: dict[str, Points] = field(default_factory=dict)  # by agent id
    best: list[Points] = field(default_factory=list)  # heap; those that `points` does not have any more are stale


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
    changes: list[str] = field(default_factory=list)  # agent ids, in order
    verdicts: dict[Hashable, _Verdicts] = field(default_factory=dict)
    obstacles: dict[Hashable, Obstacles] = field(default_factory=dict)

    def changed(self, plan: Plan, place: Place) -> None:
        """Something was taken from an agent."""
        plan.place = place
        self.changes.append(place.agent_id)

    def best(self, pod: Pod) -> tuple[Plan | None, Mapping[str, Veto]]:
        """The best agent; if there is none, every agent's veto. The mapping is shared between equal pods."""
        kind = kind_of(pod)
        verdicts = self.verdicts.get(kind)
        if verdicts is None:
            verdicts = self.verdicts[kind] = _Verdicts()
            again: Iterable[str] = self.plans
        else:
            again = set(self.changes[verdicts.seen :])
        verdicts.seen = len(self.changes)
        for agent_id in again:
            self._judge(pod, self.plans[agent_id], verdicts)
        heap = verdicts.best
        while heap and verdicts.points.get(heap[0][-1]) != heap[0]:
            heapq.heappop(heap)
        return (self.plans[heap[0][-1]], {}) if heap else (None, verdicts.vetoes)

    def _judge(self, pod: Pod, plan: Plan, verdicts: _Verdicts) -> None:
        place = plan.place
        objection = veto(pod, place, self.state.settings) or self.state.refusals.veto(pod, place.node_name)
        if objection is None:
            used = self.state.usage.get(place.node_name, NO_COUNTS)
            points = (place.node_name in self.shaky, *score(pod, place, used, self.state.settings.placement))
            verdicts.vetoes.pop(place.agent_id, None)
            verdicts.points[place.agent_id] = points
            heapq.heappush(verdicts.best, points)
        else:
            verdicts.points.pop(place.agent_id, None)
            verdicts.vetoes[place.agent_id] = objection


def kind_of(pod: Pod) -> Hashable:
    """Equal for pods that every filter and the ranking treat alike."""
    return (
        pod.requests,
        pod.counts,
        tuple(sorted(pod.node_selector.items())),
        pod.tolerations,
        pod.node_affinity,
        pod.preferred,
        pod.host_ports,
        pod.extended,
        pod.unsupported,
        pod.is_privileged,
        pod.node_name,
        pod.owner_uid,
        pod.wishes,
    )
