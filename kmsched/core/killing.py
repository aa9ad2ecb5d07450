"""Tasks that have to end: each is killed again, with growing pauses, until Mesos says that it is terminal.

A KILL of a task that the master does not know is forgotten by it, so each KILL comes with an explicit reconciliation,
whose answer for such a task is terminal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmsched.core.effects import Effect, KillTask, ReconcileTasks

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 30.0
#: tasks in one go; the others are killed with the next ticks, and calls to Mesos keep room for what cannot wait
BATCH = 500


@dataclass(slots=True)
class Victim:
    agent_id: str
    reason: str
    due_at: float
    pause_s: float = FIRST_PAUSE_S


@dataclass(slots=True)
class Killing:
    victims: dict[str, Victim] = field(default_factory=dict)  # by task id

    def add(self, task_id: str, agent_id: str, reason: str, due_at: float) -> None:
        """Kill `task_id` from `due_at` on. One that is there already keeps its time, if that is earlier."""
        known = self.victims.get(task_id)
        if known is None:
            self.victims[task_id] = Victim(agent_id, reason, due_at)
        else:
            known.due_at = min(known.due_at, due_at)
            known.agent_id = known.agent_id or agent_id

    def spare(self, task_id: str) -> None:
        """It is needed after all."""
        self.victims.pop(task_id, None)

    def ended(self, task_id: str) -> bool:
        """Mesos says that the task is terminal."""
        return self.victims.pop(task_id, None) is not None

    def due(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        asked: list[tuple[str, str]] = []
        for task_id, victim in self.victims.items():
            if len(effects) >= BATCH:
                break
            if victim.due_at <= now:
                effects.append(KillTask(task_id, victim.agent_id, cause="killing", reason=victim.reason))
                if victim.agent_id:
                    asked.append((task_id, victim.agent_id))
                victim.due_at = now + victim.pause_s
                victim.pause_s = min(2 * victim.pause_s, LONGEST_PAUSE_S)
        if asked:
            effects.append(ReconcileTasks(tuple(asked), cause="killing", reason="did the killed tasks end?"))
        return effects
