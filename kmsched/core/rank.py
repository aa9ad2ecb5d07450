"""Which of the agents that a pod fits is the best.

What the pod wishes for leads, then taints that only ask to stay away.  Then pods are spread or packed, as a flag says:
the emptiest agent first, or one whose executor runs already and then the fullest.  Ties go by id, so that equal input
gives equal placement.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from kmsched.core.affinity import is_met, is_tolerated
from kmsched.core.fit import Place
from kmsched.core.model import PACK, Pod
from kmsched.core.resources import Counts

SCALE = 1000
#: a score rounds down two shares, and floats are not exact
ROUNDED = 3

#: smaller is better; the last is the agent's id
Score = tuple[int, int, int, int, str]


def score(pod: Pod, place: Place, used: Counts, placement: str) -> Score:
    """`used`: what the pods on the agent's node request."""
    wished = _wished(pod, place) if pod.preferred else 0
    unwelcome = _unwelcome(pod, place) if place.taints else 0
    left, wanted, free = place.room, pod.counts, 0
    # spelled out: it is asked for nearly every agent of nearly every pod
    if (cpu := left.cpu + used.cpu) > 0:
        free += SCALE * (left.cpu - wanted.cpu) // cpu
    if (memory := left.memory + used.memory) > 0:
        free += SCALE * (left.memory - wanted.memory) // memory
    starts = int(not place.executor_id)
    if placement == PACK:
        return -wished, unwelcome, starts, free, place.agent_id
    return -wished, unwelcome, -free, starts, place.agent_id


def _wished(pod: Pod, place: Place) -> int:
    """The weights of the terms that hold."""
    return sum(weight for weight, term in pod.preferred if is_met(term, place.labels, place.node_name))


class Prospect(NamedTuple):
    """What an agent, or the best of many, is worth to a pod, before it is known to which; smaller is better."""

    starts: int
    base: float  # to a pod that asks for nothing
    per_cpu: float  # what each thousandth of a core that it asks for adds, and each byte
    per_memory: float


def prospect(place: Place, used: Counts, placement: str) -> Prospect:
    """Prospects in their order are agents in the order in which it is worth looking at them."""
    sign = 1.0 if placement == PACK else -1.0
    base, per = 0.0, []
    for left, taken in ((place.room.cpu, used.cpu), (place.room.memory, used.memory)):
        size = left + taken
        base += sign * SCALE * left / size if size > 0 else 0.0
        per.append(-sign * SCALE / size if size > 0 else 0.0)
    return Prospect(int(placement == PACK and not place.executor_id), base, *per)


def best_of(one: Prospect, other: Prospect) -> Prospect:
    """As good as both in everything."""
    return Prospect(
        min(one.starts, other.starts),
        min(one.base, other.base),
        min(one.per_cpu, other.per_cpu),
        min(one.per_memory, other.per_memory),
    )


def at_best(pod: Pod, best: Prospect, placement: str) -> Score:
    """No agent whose prospect is `best`, or worse, has a smaller score."""
    wished = -sum(max(weight, 0) for weight, _ in pod.preferred) if pod.preferred else 0
    value = math.floor(best.base + pod.counts.cpu * best.per_cpu + pod.counts.memory * best.per_memory) - ROUNDED
    if placement == PACK:
        return wished, 0, best.starts, value, ""
    return wished, 0, value, 0, ""


def _unwelcome(pod: Pod, place: Place) -> int:
    """How many taints ask the pod to stay away."""
    return sum(
        taint.effect == "PreferNoSchedule" and not is_tolerated(taint, pod.tolerations) for taint in place.taints
    )
