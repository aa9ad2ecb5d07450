"""Which of the agents that a pod fits is the best: the emptiest after it, as kube-scheduler's default has it.

Ties go to an agent whose executor runs already, then by id, so that equal input gives equal placement.
"""

from __future__ import annotations

from kmsched.core.fit import Place
from kmsched.core.model import Pod
from kmsched.core.resources import Counts

SCALE = 1000


def score(pod: Pod, place: Place, used: Counts) -> tuple[int, bool, str]:
    """Smaller is better. `used` is what the pods on the agent's node request."""
    shares = 0
    for free, taken, wanted in (
        (place.room.cpu, used.cpu, pod.counts.cpu),
        (place.room.memory, used.memory, pod.counts.memory),
    ):
        size = free + taken
        shares += SCALE * (free - wanted) // size if size > 0 else 0
    return -shares, not place.executor_id, place.agent_id
