"""Amounts of resources as exact integers, in thousandths of the unit that Mesos counts in.

Knows addition, subtraction and comparison.  It does not know where an amount comes from: `wire.kube` and
`wire.offers` turn quantities and scalars into these, rounding requests up and supplies down.
"""

from __future__ import annotations

from typing import NamedTuple

MILLI = 1000


class Resources(NamedTuple):
    """cpus: thousandths of a core; mem, disk: thousandths of a MiB; gpus: thousandths of a device; pods: count."""

    cpus: int = 0
    mem: int = 0
    disk: int = 0
    gpus: int = 0
    pods: int = 0

    def plus(self, other: Resources) -> Resources:
        return Resources(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Resources) -> Resources:
        return Resources(*(a - b for a, b in zip(self, other, strict=True)))

    def at_most(self, other: Resources) -> Resources:
        """The smaller of the two in every kind."""
        return Resources(*(min(a, b) for a, b in zip(self, other, strict=True)))

    def at_least(self, other: Resources) -> Resources:
        """The larger of the two in every kind."""
        return Resources(*(max(a, b) for a, b in zip(self, other, strict=True)))


ZERO = Resources()

#: kind -> what users call it, its unit, and how many thousandths make one of that unit
SPOKEN: tuple[tuple[str, str, str, int], ...] = (
    ("cpus", "cpu", "m", 1),
    ("mem", "memory", "MiB", MILLI),
    ("disk", "ephemeral-storage", "MiB", MILLI),
    ("gpus", "gpus", "", MILLI),
    ("pods", "pods", "", 1),
)


def shortfalls(wanted: Resources, free: Resources) -> list[tuple[str, str]]:
    """What is wanted beyond what is free: [(name, how much is missing, with its unit)].

    A kind that nothing is wanted of is never short, even where more is used than there is.
    """
    short = []
    for kind, name, unit, divisor in SPOKEN:
        want, have = getattr(wanted, kind), getattr(free, kind)
        if want > have and want > 0:
            short.append((name, f"{-(-(want - have) // divisor)}{unit}"))
    return short
