"""What is offered of an agent, in the parts that Mesos tells apart: allocated to one role, and reserved alike.

One task takes from one role, and one ACCEPT has offers of one role only; both are Mesos' rules.  Within a role a task
may take from several parts.  Knows how much is taken of each; which role a pod may use is `core.agent_filters`'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from kmsched.core.ports import NO_PORTS, Ports, holds, merged, of_numbers, without
from kmsched.core.resources import ZERO, Resources

#: what is nobody's
UNRESERVED = ""


class Share(Struct, frozen=True, gc=False):
    """One part, of what is offered or of what a task takes."""

    reservation: str  # UNRESERVED, or Mesos' own words for the reservation, not looked into
    amount: Resources
    ports: Ports = NO_PORTS


class Flavour(NamedTuple):
    """Of which part an executor's own resources are.  Mesos compares it: another one is another executor."""

    role: str
    reservation: str = UNRESERVED


#: nobody's, and offered to the role of those that have none
ANYBODYS = Flavour("*")


class Pool(Struct, frozen=True, gc=False):
    """All that is held of an agent in one role; `amount` is the sum of its shares, less an executor to be started."""

    role: str
    shares: tuple[Share, ...]  # reserved ones first: nobody else can use them
    amount: Resources
    executor: Flavour | None = None  # that a first task here would start; its own resources are out of `amount`
    has_room: bool = True  # False: for that executor there is none

    @property
    def ports(self) -> Ports:
        if len(self.shares) == 1:
            return self.shares[0].ports
        return merged(each for share in self.shares for each in share.ports)


def pool_of(role: str, shares: Iterable[Share]) -> Pool:
    """Shares that are reserved alike become one."""
    shares = tuple(shares)
    if len(shares) == 1:
        return Pool(role, shares, shares[0].amount)
    by_reservation: dict[str, Share] = {}
    total = ZERO
    for share in shares:
        before = by_reservation.get(share.reservation)
        if before is not None:
            amount = before.amount.plus(share.amount)
            by_reservation[share.reservation] = Share(share.reservation, amount, merged(before.ports + share.ports))
        else:
            by_reservation[share.reservation] = share
        total = total.plus(share.amount)
    ordered = sorted(by_reservation.values(), key=lambda share: (share.reservation == UNRESERVED, share.reservation))
    return Pool(role, tuple(ordered), total)


def take(shares: tuple[Share, ...], wanted: Resources, ports: Collection[int]) -> tuple[tuple[Share, ...], ...]:
    """What is taken of each share in their order, and what is left of all.

    All together they must have `wanted`; ports that none has are not taken.
    """
    missing = wanted.without_pods()
    if len(shares) == 1 and not ports:
        (share,) = shares
        rest = Share(share.reservation, share.amount.minus(missing), share.ports)
        return ((Share(share.reservation, missing),) if missing != ZERO else ()), (rest,)
    taken, left = [], []
    for share in shares:
        part = missing.at_most(share.amount).at_least(ZERO)
        numbers = [number for number in ports if holds(share.ports, number)]
        if part != ZERO or numbers:
            taken.append(Share(share.reservation, part, of_numbers(numbers)))
        left.append(Share(share.reservation, share.amount.minus(part), without(share.ports, numbers)))
        missing = missing.minus(part)
    return tuple(taken), tuple(left)


def charged(pool: Pool, needed: Resources, flavours: Collection[Flavour]) -> Pool:
    """The pool less what an executor of one of these flavours needs for itself, of nobody's part if that has it.

    If none of its parts has room for one, all of them together are charged, so that it can be told what is missing.
    """
    role, shares = pool.role, pool.shares
    for index in range(len(shares) - 1, -1, -1):
        share = shares[index]
        flavour = Flavour(role, share.reservation)
        if flavour in flavours and needed.fits_in(share.amount):
            less = Share(share.reservation, share.amount.minus(needed), share.ports)
            amount = less.amount if len(shares) == 1 else pool.amount.minus(needed)
            return Pool(role, (*shares[:index], less, *shares[index + 1 :]), amount, flavour)
    return replace(pool, amount=pool.amount.minus(needed), has_room=False)


def released(pool: Pool, needed: Resources) -> Pool:
    """The executor was started by a task of another role: this one need not pay for it."""
    shares = tuple(
        replace(share, amount=share.amount.plus(needed))
        if pool.executor is not None and share.reservation == pool.executor.reservation
        else share
        for share in pool.shares
    )
    return Pool(pool.role, shares, pool.amount.plus(needed))
