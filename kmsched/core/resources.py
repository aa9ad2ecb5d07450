"""Amounts of resources as exact integers: in thousandths of the unit that Mesos counts in, and as kubelet counts.

Knows addition, subtraction and comparison.  It does not know where an amount comes from: `wire.kube` and
`wire.offers` turn quantities and scalars into these.  A pod has both, because a byte is no round part of a MiB: what
just fits in one ledger would not in the other.  Every pod that is placed costs dozens of these sums, so they are
spelled out, and the values are structs of msgspec: those are made in a tenth of the time of a dataclass.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import astuple

MILLI = 1000
MIB = 2**20


class Resources(Struct, frozen=True, gc=False):
    """cpus: thousandths of a core; mem, disk: thousandths of a MiB; gpus: thousandths of a device; pods: count."""

    cpus: int = 0
    mem: int = 0
    disk: int = 0
    gpus: int = 0
    pods: int = 0

    def plus(self, other: Resources) -> Resources:
        cpus, mem, disk = self.cpus + other.cpus, self.mem + other.mem, self.disk + other.disk
        return Resources(cpus, mem, disk, self.gpus + other.gpus, self.pods + other.pods)

    def minus(self, other: Resources) -> Resources:
        cpus, mem, disk = self.cpus - other.cpus, self.mem - other.mem, self.disk - other.disk
        return Resources(cpus, mem, disk, self.gpus - other.gpus, self.pods - other.pods)

    def without_pods(self) -> Resources:
        return Resources(self.cpus, self.mem, self.disk, self.gpus)

    def at_most(self, other: Resources) -> Resources:
        """The smaller of the two in every kind."""
        return Resources(*map(min, astuple(self), astuple(other)))

    def at_least(self, other: Resources) -> Resources:
        """The larger of the two in every kind."""
        return Resources(*map(max, astuple(self), astuple(other)))

    def fits_in(self, other: Resources) -> bool:
        """Has the other as much of every kind that Mesos counts?"""
        return self.cpus <= other.cpus and self.mem <= other.mem and self.disk <= other.disk and self.gpus <= other.gpus


ZERO = Resources()


def sum_of(amounts: Iterable[Resources]) -> Resources:
    total = ZERO
    for amount in amounts:
        total = total.plus(amount)
    return total


class Counts(Struct, frozen=True, gc=False):
    """As kubelet and kube-scheduler count. cpu: thousandths of a core; memory, storage: bytes; pods: count."""

    cpu: int = 0
    memory: int = 0
    storage: int = 0
    pods: int = 0

    def plus(self, other: Counts) -> Counts:
        storage, pods = self.storage + other.storage, self.pods + other.pods
        return Counts(self.cpu + other.cpu, self.memory + other.memory, storage, pods)

    def minus(self, other: Counts) -> Counts:
        storage, pods = self.storage - other.storage, self.pods - other.pods
        return Counts(self.cpu - other.cpu, self.memory - other.memory, storage, pods)


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
