"""Tasks whose state is being asked for: reconciled explicitly, again with growing pauses, until Mesos answers.

Any update is an answer, but for one that only tells that the agent is out of sight.  An agent that has not come back
to a new master is answered for by nobody, so it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from kmsched.core.effects import Effect, ReconcileTasks

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
#: tasks in one call
BATCH = 1000


class Question(Struct, gc=False):
    agent_id: str
    due_at: float
    pause_s: float = FIRST_PAUSE_S


@dataclass(slots=True)
class Asking:
    questions: dict[str, Question] = field(default_factory=dict)  # by task id

    def add(self, task_id: str, agent_id: str, due_at: float) -> None:
        """Ask from `due_at` on. Without an agent nothing can be asked: the snapshot has to tell."""
        if task_id and agent_id:
            self.questions[task_id] = Question(agent_id, due_at)

    def keep(self, task_id: str, agent_id: str, now: float) -> None:
        """The answer was none: go on asking, after a pause."""
        if task_id not in self.questions:
            self.add(task_id, agent_id, now + FIRST_PAUSE_S)

    def answered(self, task_id: str) -> None:
        self.questions.pop(task_id, None)

    def due(self, now: float) -> list[Effect]:
        asked: list[tuple[str, str]] = []
        for task_id, question in self.questions.items():
            if question.due_at <= now and len(asked) < BATCH:
                asked.append((task_id, question.agent_id))
                question.due_at = now + question.pause_s
                question.pause_s = min(2 * question.pause_s, LONGEST_PAUSE_S)
        if not asked:
            return []
        return [ReconcileTasks(tuple(asked), cause="asking", reason=f"state of {len(asked)} tasks is not known")]
