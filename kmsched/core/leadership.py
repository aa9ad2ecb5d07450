"""Who may act: the life of one scheduler process between standing by and having been deposed.

Knows the one table of roles and facts, and the moment after which a leader must not act.  It does not know etcd, Mesos
or clocks: it is told what happened, and when the last successful renewal was *sent*, by the process's own clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


class Role(enum.Enum):
    STANDBY = "standby"
    #: the lease is ours, Mesos has not subscribed us yet
    ELECTED = "elected"
    #: subscribed, and the state of all tasks is being asked for
    RECONCILING = "reconciling"
    ACTIVE = "active"
    #: no renewal came through in time: no calls, until it is known whether the lease is still ours
    SUSPENDED = "suspended"
    #: for good: a new process begins as a standby
    DEPOSED = "deposed"


class Fact(enum.Enum):
    WON = "the lease was won"
    RENEWED = "the lease was renewed, and the leader key is still ours"
    EXPIRED = "no renewal came through before the deadline"
    LOST = "the lease or the leader key is gone"
    RESIGNED = "leadership was given up on purpose"
    YIELDED = "leadership was offered to a replacement of this process"
    SUBSCRIBED = "Mesos subscribed this process"
    SETTLED = "the state of all tasks is known"
    UNSUBSCRIBED = "the subscription with Mesos ended"


_S, _E, _R, _A, _X, _D = Role
_LEADING = (_E, _R, _A)

#: (role, fact) -> the next role. What is not here is a defect, but for DEPOSED, where nothing matters any more.
#: None: back to what the subscription allows, see `_resumed`.
TABLE: Mapping[tuple[Role, Fact], Role | None] = MappingProxyType(
    {
        (_S, Fact.WON): _E,
        # a standby holds a lease, too: that of its member key
        (_S, Fact.RENEWED): _S,
        (_S, Fact.EXPIRED): _S,
        (_S, Fact.LOST): _S,
        (_S, Fact.RESIGNED): _S,
        (_S, Fact.YIELDED): _S,
        (_S, Fact.UNSUBSCRIBED): _S,
        (_E, Fact.SUBSCRIBED): _R,
        (_E, Fact.UNSUBSCRIBED): _E,
        (_R, Fact.SETTLED): _A,
        (_R, Fact.SUBSCRIBED): _R,
        (_R, Fact.UNSUBSCRIBED): _E,
        # a subscription that is taken up again is reconciled again
        (_A, Fact.SUBSCRIBED): _R,
        (_A, Fact.SETTLED): _A,
        (_A, Fact.UNSUBSCRIBED): _E,
        **{(role, Fact.RENEWED): role for role in _LEADING},
        **{(role, Fact.EXPIRED): _X for role in _LEADING},
        **{(role, fact): _D for role in (*_LEADING, _X) for fact in (Fact.LOST, Fact.RESIGNED)},
        # if the replacement fails, this process campaigns again, for a term of its own
        **{(role, Fact.YIELDED): _S for role in (*_LEADING, _X)},
        (_X, Fact.RENEWED): None,
        **{(_X, fact): _X for fact in (Fact.EXPIRED, Fact.SUBSCRIBED, Fact.SETTLED, Fact.UNSUBSCRIBED)},
        **{(_D, fact): _D for fact in Fact},
    }
)


class ImpossibleFact(Exception):
    """A fact came in a role in which it cannot happen."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """`deadline` is in seconds of the monotonic clock; it means nothing to a standby. `term` is 0 until one is won."""

    role: Role = Role.STANDBY
    term: int = 0
    deadline: float = 0.0
    is_subscribed: bool = False
    reason: str = "started"

    @property
    def is_leading(self) -> bool:
        return self.role in _LEADING

    def may_act(self, now: float) -> bool:
        """Whether a call that has an effect may be sent at this moment."""
        return self.is_leading and now < self.deadline

    def is_overdue(self, now: float) -> bool:
        """Whether nobody has looked yet that the deadline has passed."""
        return self.is_leading and now >= self.deadline


def after(leadership: Leadership, fact: Fact, reason: str = "") -> Leadership:
    """The leadership that follows. ImpossibleFact leaves nothing changed."""
    pair = leadership.role, fact
    if pair not in TABLE:
        raise ImpossibleFact(f"{fact.name} in role {leadership.role.name}")
    is_subscribed = (
        fact is Fact.SUBSCRIBED or (leadership.is_subscribed and fact not in (Fact.UNSUBSCRIBED, Fact.YIELDED))
    ) and leadership.role is not Role.STANDBY
    role = TABLE[pair] or _resumed(is_subscribed)
    if role is leadership.role and is_subscribed == leadership.is_subscribed:
        return leadership
    return replace(leadership, role=role, is_subscribed=is_subscribed, reason=reason or fact.value)


def renewed(leadership: Leadership, sent_at: float, renew_deadline_s: float) -> Leadership:
    """After a renewal that was sent at `sent_at` and that etcd has answered with the lease alive and the key ours."""
    deadline = max(leadership.deadline, sent_at + renew_deadline_s)
    return replace(after(leadership, Fact.RENEWED), deadline=deadline)


def elected(leadership: Leadership, term: int, renewed_at: float, renew_deadline_s: float) -> Leadership:
    """After the leader key was created with a lease whose last renewal was sent at `renewed_at`."""
    return replace(after(leadership, Fact.WON), term=term, deadline=renewed_at + renew_deadline_s)


def timed(leadership: Leadership, now: float) -> Leadership:
    """The leadership at this moment: SUSPENDED when the deadline has passed."""
    if leadership.is_overdue(now):
        late_s = now - leadership.deadline
        return after(leadership, Fact.EXPIRED, f"no renewal came through in time, for {late_s:.1f} s beyond the limit")
    return leadership


def new_term(create_revision: int, highest_seen: int) -> int:
    """Greater than every term before, even when etcd was restored from a backup and counts from an older revision."""
    return max(create_revision, highest_seen + 1)


def _resumed(is_subscribed: bool) -> Role:
    """What was missed meanwhile is asked for again."""
    return Role.RECONCILING if is_subscribed else Role.ELECTED
