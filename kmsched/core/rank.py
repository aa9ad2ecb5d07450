"""Which of the agents that a pod fits is the best.

What the pod wishes for leads, then taints that only ask to stay away.  Then pods are spread or packed, as a flag says:
the emptiest agent first, or one whose executor runs already and then the fullest.  Ties go by id, so that equal input
gives equal placement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from kmsched.core.affinity import is_met, is_tolerated
from kmsched.core.fit import Place
from kmsched.core.model import PACK, Pod
from kmsched.core.resources import Counts

SCALE = 1000
#: a score rounds down two shares, and floats are not exact
ROUNDED = 3

#: the effect of taints that only ask
PREFER_NO = "PreferNoSchedule"
#: more than any share, any number of taints, and any sum of weights makes
EXECUTOR, TAINT, WISH, SHAKY = 1 << 70, 1 << 80, 1 << 110, 1 << 170


def score(pod: Pod, place: Place, used: Counts, placement: str, is_shaky: bool = False) -> int:
    """Smaller is better: what leads counts in larger units. `used`: what the pods on the agent's node request.
    `is_shaky`: it is the last choice.
    """
    left, wanted, free = place.room, pod.counts, 0
    # spelled out: it is asked for nearly every agent of nearly every pod
    if (cpu := left.cpu + used.cpu) > 0:
        free += SCALE * (left.cpu - wanted.cpu) // cpu
    if (memory := left.memory + used.memory) > 0:
        free += SCALE * (left.memory - wanted.memory) // memory
    number = _valued(free, not place.executor_id, placement)
    if pod.preferred:
        number -= WISH * _wished(pod, place)
    if place.taints:
        number += TAINT * _unwelcome(pod, place)
    if is_shaky:
        number += SHAKY
    return number


def _valued(free: int, starts: bool, placement: str) -> int:
    """Spread: how much is free, and then whether an executor is to be started. Packed: the other way round."""
    return EXECUTOR * starts + free if placement == PACK else starts - 2 * free


def _wished(pod: Pod, place: Place) -> int:
    """The weights of the terms that hold."""
    return sum(weight for weight, term in pod.preferred if is_met(term, place.labels, place.node_name))


#: What an agent, or the best of many, is worth to a pod, before it is known to which; smaller is better.  Whether an
#: executor is to be started, what it is worth to a pod that asks for nothing, and what each thousandth of a core that
#: is asked for adds to that, and each byte.
Prospect = tuple[int, float, float, float]


def prospect(place: Place, used: Counts, placement: str) -> Prospect:
    """Prospects in their order are agents in the order in which it is worth looking at them."""
    sign, room = 1.0 if placement == PACK else -1.0, place.room
    base = per_cpu = per_memory = 0.0
    if (cpu := room.cpu + used.cpu) > 0:
        base, per_cpu = sign * SCALE * room.cpu / cpu, -sign * SCALE / cpu
    if (memory := room.memory + used.memory) > 0:
        base, per_memory = base + sign * SCALE * room.memory / memory, -sign * SCALE / memory
    return int(placement == PACK and not place.executor_id), base, per_cpu, per_memory


def best_of(prospects: Iterable[Prospect]) -> Prospect:
    """As good as all of them in everything."""
    starts, bases, per_cpus, per_memories = zip(*prospects, strict=True)
    return min(starts), min(bases), min(per_cpus), min(per_memories)


def at_best(pod: Pod, best: Prospect, placement: str) -> int:
    """No agent whose prospect is `best`, or worse, has a smaller score."""
    wished = sum(max(weight, 0) for weight, _ in pod.preferred) if pod.preferred else 0
    starts, base, per_cpu, per_memory = best
    value = math.floor(base + pod.counts.cpu * per_cpu + pod.counts.memory * per_memory) - ROUNDED
    free = value if placement == PACK else -value
    return _valued(free, bool(starts), placement) - WISH * wished


def _unwelcome(pod: Pod, place: Place) -> int:
    """How many taints ask the pod to stay away."""
    return sum(taint.effect == PREFER_NO and not is_tolerated(taint, pod.tolerations) for taint in place.taints)
