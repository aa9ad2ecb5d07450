"""What was decided and why: one log line for each effect, and the last ones for people who ask later.

Knows how an effect reads as a line.  It does not know whether the effect succeeded: that is logged where it is run.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

from kmsched.clock import Clock
from kmsched.core import effects
from kmsched.core.demand import OTHER_EXECUTOR
from kmsched.core.effects import Effect
from kmsched.daemon.repeats import Repeats
from kmsched.log import PARTS

log = logging.getLogger("kmsched.decisions")

MAX_DECISIONS = 1000
#: ids of one effect that a line names before it only counts
MAX_NAMED = 5

#: everything else is a decision that an operator wants to read; these follow from each piece of news
QUIET: Mapping[type[Effect], int] = MappingProxyType(
    {
        effects.AcknowledgeUpdate: logging.DEBUG,
        effects.ConfigureExecutor: logging.DEBUG,
        effects.DeclineOffers: logging.DEBUG,
        effects.ReportPod: logging.DEBUG,
    }
)


class Decisions:
    """The last `limit` decisions, oldest first."""

    def __init__(self, clock: Clock, limit: int = MAX_DECISIONS) -> None:
        self._clock = clock
        self._repeats = Repeats(clock)
        self._last: deque[dict[str, object]] = deque(maxlen=limit)

    def record(self, effect: Effect) -> None:
        kind = type(effect).__name__
        words = subject(effect)
        level = self._level(effect)
        decision: dict[str, object] = {
            "effect": kind,
            "subject": words,
            "cause": effect.cause,
            "reason": effect.reason,
        }
        if log.isEnabledFor(level):
            log.log(level, "%s %s: %s (%s)", kind, words, effect.reason, effect.cause, extra={PARTS: decision})
        self._last.append({"time_s": round(self._clock.wall(), 3), **decision})

    def _level(self, effect: Effect) -> int:
        if isinstance(effect, effects.DeclineOffers) and effect.cause == OTHER_EXECUTOR:
            # the same agent is offered again and again: it is told once, and again when something else differs
            return logging.WARNING if self._repeats.is_first(effect.reason) else logging.DEBUG
        if isinstance(effect, effects.AnswerInverseOffer):
            # asked again and again, likewise
            return logging.INFO if self._repeats.is_first(effect.reason) else logging.DEBUG
        return QUIET.get(type(effect), logging.INFO)

    def listed(self) -> list[dict[str, object]]:
        return list(self._last)


def subject(effect: Effect) -> str:
    """What the effect is about, in a few words."""
    match effect:
        case effects.AcceptOffers():
            pods = _named([f"{each.pod_key} as {each.task_id}" for each in effect.launches])
            return f"agent {effect.agent_id}, {len(effect.offer_ids)} offers: {pods}"
        case effects.DeclineOffers():
            return _named(effect.offer_ids)
        case effects.SuppressOffers() | effects.ReviveOffers():
            return "all roles"
        case effects.AnswerInverseOffer():
            return f"agent {effect.agent_id}: {'may go' if effect.may_go else 'not yet'}"
        case effects.AcknowledgeUpdate() | effects.KillTask():
            return f"task {effect.task_id}"
        case effects.ReconcileTasks():
            return _named([task for task, _ in effect.tasks]) if effect.tasks else "all tasks"
        case effects.BindPod():
            return f"pod {effect.key} to {effect.node_name} by task {effect.task_id}"
        case effects.AdoptPod():
            return f"pod {effect.key} by task {effect.task_id} after {effect.old_task_id or 'none'}"
        case effects.ConfigureExecutor():
            return f"executor {effect.executor_id} of agent {effect.agent_id}"
        case effects.RegisterNode():
            return f"Node {effect.name} of agent {effect.agent_id}"
        case effects.RemoveNode():
            return f"Node {effect.name}"
        case effects.ReportPod():
            return f"pod {effect.key}: {effect.topic}: {effect.message}"


def _named(ids: list[str] | tuple[str, ...]) -> str:
    named = ", ".join(ids[:MAX_NAMED])
    return f"{named} and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else named
