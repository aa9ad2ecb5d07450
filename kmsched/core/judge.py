"""Who is best for a pod, within one cycle: equal pods are judged once, and again only where something was taken.

A Deployment's pods are alike, so most of a cycle's work is the same question.  What fits is `core.fit`'s and
`core.refusals`', what is better `core.rank`'s; here is only what need not be asked twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from kmsched.core.effects import Launch
from kmsched.core.fit import Place, Veto, veto
from kmsched.core.model import Pod
from kmsched.core.rank import score
from kmsched.core.resources import ZERO
from kmsched.core.state import State

Points = tuple[int, bool, str]


@dataclass(slots=True)
class Plan:
    """One agent in this cycle: what is left of it, and what is launched there."""

    place: Place
    launches: list[Launch] = field(default_factory=list)
    version: int = 0  # of `place`; of the judge, when it last changed


@dataclass(slots=True)
class _Verdicts:
    """On one kind of pod."""

    judged_at: int = -1  # the judge's version then
    vetoes: dict[str, Veto] = field(default_factory=dict)  # by agent id
    points: dict[str, Points] = field(default_factory=dict)


@dataclass(slots=True)
class Judge:
    state: State
    plans: Mapping[str, Plan]
    version: int = 0
    verdicts: dict[Hashable, _Verdicts] = field(default_factory=dict)

    def changed(self, plan: Plan, place: Place) -> None:
        """Something was taken from an agent."""
        self.version += 1
        plan.place, plan.version = place, self.version

    def best(self, pod: Pod) -> tuple[Plan | None, Mapping[str, Veto]]:
        """The best agent; if there is none, every agent's veto. The mapping is shared between equal pods."""
        verdicts = self.verdicts.setdefault(kind_of(pod), _Verdicts())
        if verdicts.judged_at < self.version:
            for agent_id, plan in self.plans.items():
                if plan.version > verdicts.judged_at:
                    self._judge(pod, agent_id, plan, verdicts)
            verdicts.judged_at = self.version
        if not verdicts.points:
            return None, verdicts.vetoes
        return self.plans[max(verdicts.points, key=verdicts.points.__getitem__)], {}

    def _judge(self, pod: Pod, agent_id: str, plan: Plan, verdicts: _Verdicts) -> None:
        place = plan.place
        objection = veto(pod, place, self.state.settings) or self.state.refusals.veto(pod, place.node_name)
        if objection is None:
            verdicts.vetoes.pop(agent_id, None)
            verdicts.points[agent_id] = score(pod, place, self.state.usage.get(place.node_name, ZERO))
        else:
            verdicts.points.pop(agent_id, None)
            verdicts.vetoes[agent_id] = objection


def kind_of(pod: Pod) -> Hashable:
    """Equal for pods that every filter and the ranking treat alike."""
    return (
        pod.requests,
        tuple(sorted(pod.node_selector.items())),
        pod.tolerations,
        pod.node_affinity,
        pod.host_ports,
        pod.extended,
        pod.unsupported,
        pod.node_name,
        pod.owner_uid,
    )
