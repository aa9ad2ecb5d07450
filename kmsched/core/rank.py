"""Which of the agents that a pod fits is the best.

What the pod wishes for leads, then taints that only ask to stay away.  Then pods are spread or packed, as a flag says:
the emptiest agent first, where an executor that is to be started counts as one share in a thousand, or one whose
executor runs already and then the fullest.  Ties go by id, so that equal input gives equal placement.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from kmsched.core.affinity import is_met, is_tolerated
from kmsched.core.fit import Place
from kmsched.core.model import PACK, Pod
from kmsched.core.resources import Counts

#: a score counts thousandths of a share
SCALE = 1000
#: floats are not exact: what is a whole number but for this is one
ROUNDED = 1e-6

#: the effect of taints that only ask
PREFER_NO = "PreferNoSchedule"
#: more than any share, any number of taints, and any sum of weights makes
EXECUTOR, TAINT, WISH, SHAKY = 1 << 70, 1 << 80, 1 << 110, 1 << 170

#: What of an agent counts for every pod alike; smaller is better.  What leads (that it is shaky, or packed and without
#: an executor), what its shares are worth to a pod that asks for nothing, and what each thousandth of a core that is
#: asked for adds to that, and each byte.  In their order: agents as it is worth looking at them.
Prospect = tuple[int, float, float, float]


@dataclass(slots=True)
class Prospects:
    """Of many agents, by their numbers. In columns: each pod asks for several that nobody has asked for lately, and
    tuples of floats are all over the memory.
    """

    first: list[int]
    at_rest: array[float]
    per_cpu: array[float]
    per_memory: array[float]

    @classmethod
    def of(cls, each: Sequence[Prospect]) -> Prospects:
        first, *others = zip(*each, strict=True) if each else ((), (), (), ())
        return cls(list(first), *(array("d", column) for column in others))

    def __getitem__(self, number: int) -> Prospect:
        return self.first[number], self.at_rest[number], self.per_cpu[number], self.per_memory[number]

    def take(self, number: int, left: Place) -> bool:
        """Something was taken from the agent, and an executor is there. True: to some pod it may be worth more now."""
        first = self.first[number] // SHAKY * SHAKY
        at_rest = _at_rest(left.room, self.per_cpu[number], self.per_memory[number])
        is_better = first < self.first[number] or at_rest < self.at_rest[number]
        self.first[number], self.at_rest[number] = first, at_rest
        return is_better


def prospect(place: Place, used: Counts, placement: str, is_shaky: bool = False) -> Prospect:
    """`used`: what the pods on the agent's node request. `is_shaky`: it is the last choice."""
    sign = 1 if placement == PACK else -1
    cpu, memory = place.room.cpu + used.cpu, place.room.memory + used.memory
    per_cpu = -sign * SCALE / cpu if cpu > 0 else 0.0
    per_memory = -sign * SCALE / memory if memory > 0 else 0.0
    first, at_rest = SHAKY if is_shaky else 0, _at_rest(place.room, per_cpu, per_memory)
    if not place.executor_id:
        first, at_rest = (first + EXECUTOR, at_rest) if placement == PACK else (first, at_rest + 1)
    return first, at_rest, per_cpu, per_memory


def _at_rest(room: Counts, per_cpu: float, per_memory: float) -> float:
    return ROUNDED - room.cpu * per_cpu - room.memory * per_memory


def worth(wanted: Counts, its: Prospect) -> int:
    """How much is free after it; smaller is better. To no pod more than a prospect that is smaller in all parts: floats
    round alike.
    """
    first, at_rest, per_cpu, per_memory = its
    return first + floor(at_rest + wanted.cpu * per_cpu + wanted.memory * per_memory)


def score(pod: Pod, place: Place, its: Prospect) -> int:
    """Smaller is better: what leads counts in larger units."""
    number = worth(pod.counts, its)
    if pod.preferred:
        number -= WISH * _wished(pod, place)
    if place.taints:
        number += TAINT * _unwelcome(pod, place)
    return number


def _wished(pod: Pod, place: Place) -> int:
    """The weights of the terms that hold."""
    return sum(weight for weight, term in pod.preferred if is_met(term, place.labels, place.node_name))


def at_best(pod: Pod, best: Prospect) -> int:
    """No agent whose prospect is `best`, or worse, has a smaller score."""
    wished = sum(max(weight, 0) for weight, _ in pod.preferred) if pod.preferred else 0
    return worth(pod.counts, best) - WISH * wished


def _unwelcome(pod: Pod, place: Place) -> int:
    """How many taints ask the pod to stay away."""
    return sum(taint.effect == PREFER_NO and not is_tolerated(taint, pod.tolerations) for taint in place.taints)
