"""The core with its state, as the daemon holds it: one `step`, and what others may ask of the state.

Knows which questions the daemon has.  Only the runner steps; everybody else reads between two steps, which is safe
because one thread does both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from kmsched.core.agent_views import agents
from kmsched.core.effects import Effect
from kmsched.core.events import Event
from kmsched.core.executors import plain_id
from kmsched.core.intake import is_ours, names_task
from kmsched.core.model import Node, Settings
from kmsched.core.state import Link, State
from kmsched.core.taskid import parse_task_id
from kmsched.core.views import pending_by_kind
from kmsched.daemon.identity import MAX_SEEN_TERM

StepState = Callable[[State, Event, float], Sequence[Effect]]


class Core:
    """`step_state` is the fold; tests pass their own."""

    def __init__(self, settings: Settings, term: int, step_state: StepState) -> None:
        self.state = State(settings, term)
        self._step_state = step_state

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        return self._step_state(self.state, event, now)

    @property
    def is_synced(self) -> bool:
        """Both complete lists went through the core."""
        return self.state.has_pods and self.state.has_nodes

    def is_placing(self) -> bool:
        """Is a scheduling cycle under way, that goes on when other events have been taken?"""
        return self.state.cycle is not None

    def is_reconciled(self) -> bool:
        return self.state.link is Link.ACTIVE

    def bound_pods(self) -> list[str]:
        """Keys of pods that an earlier process of this scheduler bound and that have not ended."""
        return [
            record.pod.key
            for record in self.state.pods.values()
            if is_ours(self.state, record.pod) and names_task(record.pod) and not record.pod.phase.is_terminal
        ]

    def highest_term(self) -> int:
        """The highest term in the tasks that pods name for their own; 0 when there is none."""
        pods = (record.pod for record in self.state.pods.values() if record.pod.task_id)
        named = ((pod, parse_task_id(pod.task_id)) for pod in pods)
        terms = (task.term for pod, task in named if task is not None and task.pod_uid == pod.uid)
        return max((term for term in terms if term <= MAX_SEEN_TERM), default=0)

    def created_s(self, pod_uid: str) -> float | None:
        """Wall time of the pod's creation, if it is known."""
        record = self.state.pods.get(pod_uid)
        return record.pod.created_s if record else None

    def pods_by_state(self) -> Counter[str]:
        return Counter(record.state.value for record in self.state.pods.values())

    def pending_by_kind(self) -> Counter[str]:
        return pending_by_kind(self.state)

    def tasks(self) -> tuple[int, int]:
        """Tasks that pods have, and how many of them Mesos was asked for and has not answered."""
        return sum(1 for record in self.state.pods.values() if record.task_id), len(self.state.asking.questions)

    def agents(self) -> int:
        return len(self.state.offers.agents)

    def agents_by_fingerprint(self) -> Counter[tuple[str, bool]]:
        """Agents by the first digits of the fingerprint that decides for them, and whether that is ours."""
        found = (each for each in agents(self.state) if each["fingerprint"])
        return Counter((each["fingerprint"], each["compatible"]) for each in found)

    def agents_by_executor(self) -> Counter[str]:
        """On how many agents each executor runs, whatever its own resources are of."""
        return Counter(plain_id(each) for running in self.state.executors.on_agent.values() for each in running)

    def promised_nodes(self) -> list[Node]:
        """Ours, while we lead, without a kubelet."""
        if self.state.link is not Link.ACTIVE or not self.state.settings.registers_all:
            return []
        ours = self.state.registration.is_ours
        return [node for node in self.state.nodes.values() if node.is_promised and ours(node)]

    def offers_held(self) -> int:
        return len(self.state.offers.agent_of)
