"""Amounts of resources as exact integers: in thousandths of the unit that Mesos counts in, and as kubelet counts.

Knows addition, subtraction and comparison.  It does not know where an amount comes from: `wire.kube` and
`wire.offers` turn quantities and scalars into these.  A pod has both, because a byte is no round part of a MiB: what
just fits in one ledger would not in the other.  Every pod that is placed costs dozens of these sums, so they are
spelled out.
"""

from __future__ import annotations

from typing import NamedTuple

MILLI = 1000
MIB = 2**20


class Resources(NamedTuple):
    """cpus: thousandths of a core; mem, disk: thousandths of a MiB; gpus: thousandths of a device; pods: count."""

    cpus: int = 0
    mem: int = 0
    disk: int = 0
    gpus: int = 0
    pods: int = 0

    def plus(self, other: Resources) -> Resources:
        cpus, mem, disk, gpus, pods = other
        return Resources(self.cpus + cpus, self.mem + mem, self.disk + disk, self.gpus + gpus, self.pods + pods)

    def minus(self, other: Resources) -> Resources:
        cpus, mem, disk, gpus, pods = other
        return Resources(self.cpus - cpus, self.mem - mem, self.disk - disk, self.gpus - gpus, self.pods - pods)

    def without_pods(self) -> Resources:
        return Resources(self.cpus, self.mem, self.disk, self.gpus)

    def at_most(self, other: Resources) -> Resources:
        """The smaller of the two in every kind."""
        return Resources(*map(min, self, other))

    def at_least(self, other: Resources) -> Resources:
        """The larger of the two in every kind."""
        return Resources(*map(max, self, other))


ZERO = Resources()


class Counts(NamedTuple):
    """As kubelet and kube-scheduler count. cpu: thousandths of a core; memory, storage: bytes; pods: count."""

    cpu: int = 0
    memory: int = 0
    storage: int = 0
    pods: int = 0

    def plus(self, other: Counts) -> Counts:
        cpu, memory, storage, pods = other
        return Counts(self.cpu + cpu, self.memory + memory, self.storage + storage, self.pods + pods)

    def minus(self, other: Counts) -> Counts:
        cpu, memory, storage, pods = other
        return Counts(self.cpu - cpu, self.memory - memory, self.storage - storage, self.pods - pods)


NO_COUNTS = Counts()


def whole_counts(amount: Resources) -> Counts:
    """The whole bytes of what Mesos has."""
    return Counts(amount.cpus, amount.mem * MIB // MILLI, amount.disk * MIB // MILLI, amount.pods)


#: what users call each kind but pods, its unit, and how many make one of that unit: in the order of the fields
SPOKEN_RESOURCES = (
    ("cpu", "m", 1),
    ("memory", "MiB", MILLI),
    ("ephemeral-storage", "MiB", MILLI),
    ("gpus", "", MILLI),
)
SPOKEN_COUNTS = (("cpu", "m", 1), ("memory", "MiB", MIB), ("ephemeral-storage", "MiB", MIB))
