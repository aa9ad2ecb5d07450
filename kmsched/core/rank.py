"""Which of the agents that a pod fits is the best.

What the pod wishes for leads, then taints that only ask to stay away.  Then pods are spread or packed, as a flag says:
the emptiest agent first, or one whose executor runs already and then the fullest.  Ties go by id, so that equal input
gives equal placement.
"""

from __future__ import annotations

from kmsched.core.affinity import is_met, is_tolerated
from kmsched.core.fit import Place
from kmsched.core.model import PACK, Pod
from kmsched.core.resources import Counts

SCALE = 1000

#: smaller is better; the last is the agent's id
Score = tuple[int, int, int, int, str]


def score(pod: Pod, place: Place, used: Counts, placement: str) -> Score:
    """`used`: what the pods on the agent's node request."""
    wished = _wished(pod, place) if pod.preferred else 0
    unwelcome = _unwelcome(pod, place) if place.taints else 0
    free = 0
    for left, taken, wanted in (
        (place.room.cpu, used.cpu, pod.counts.cpu),
        (place.room.memory, used.memory, pod.counts.memory),
    ):
        size = left + taken
        free += SCALE * (left - wanted) // size if size > 0 else 0
    starts = int(not place.executor_id)
    if placement == PACK:
        return -wished, unwelcome, starts, free, place.agent_id
    return -wished, unwelcome, -free, starts, place.agent_id


def _wished(pod: Pod, place: Place) -> int:
    """The weights of the terms that hold."""
    return sum(weight for weight, term in pod.preferred if is_met(term, place.labels, place.node_name))


def _unwelcome(pod: Pod, place: Place) -> int:
    """How many taints ask the pod to stay away."""
    return sum(
        taint.effect == "PreferNoSchedule" and not is_tolerated(taint, pod.tolerations) for taint in place.taints
    )
