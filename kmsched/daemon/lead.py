"""Whether this process leads, as its parts ask: alone by the lock of its state folder, or in a group by the election.

Knows how to wait for the lead, for the moment at which a call may be sent, and for the proof before a SUBSCRIBE.
Everything about leases is in `election`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

from kmsched.clock import Clock
from kmsched.core.leadership import Fact, Leadership, Role
from kmsched.daemon.election import Election
from kmsched.errors import Deposed, Refused, Retryable
from kmsched.wire.etcd import Created
from kmsched.wire.members import Keys

#: how often in a minute a leader whose lease stands may take its framework back from a late SUBSCRIBE of another
MAX_RETAKEN = 5
RETAKEN_S = 60.0


class Lead(Protocol):
    @property
    def role(self) -> str:
        """In the words of `core.leadership.Role`."""
        ...

    async def term(self) -> int:
        """Wait for the lead; then the term, which is ours alone."""
        ...

    async def admit(self) -> float:
        """As `fencing.Fence` says."""
        ...

    async def confirm(self) -> None:
        """Before a SUBSCRIBE: proof, asked for now, that the lead is still ours. Deposed: it is not."""
        ...

    async def was_overtaken(self, words: str) -> None:
        """Mesos took another SUBSCRIBE for our framework. Returns when ours is to be sent again; else Deposed."""
        ...

    def tell(self, fact: Fact, reason: str = "") -> None: ...

    def hold(self) -> None:
        """Let no further call out: this process is about to give the lead away."""
        ...

    def lead_on(self) -> None:
        """After `hold`, or in a process that has not begun: nobody else leads now. The term is another then."""
        ...


class SoleLead:
    """Without `--ha`: leads from the first moment. `make_term` writes the term down before it is used.

    `is_held`: not from the first moment, but when `lead_on` is called.
    """

    def __init__(self, make_term: Callable[[], Awaitable[int]], *, is_held: bool = False) -> None:
        self._make_term = make_term
        self._term = 0
        self._told = Fact.UNSUBSCRIBED
        self._is_free = asyncio.Event()
        if not is_held:
            self._is_free.set()

    @property
    def role(self) -> str:
        if not self._is_free.is_set():
            held = Role.SUSPENDED if self._term else Role.STANDBY
            return held.value
        roles = {Fact.SUBSCRIBED: Role.RECONCILING, Fact.SETTLED: Role.ACTIVE}
        return roles.get(self._told, Role.ELECTED).value

    def hold(self) -> None:
        self._is_free.clear()

    def lead_on(self) -> None:
        self._term = 0
        self._is_free.set()

    async def term(self) -> int:
        await self._is_free.wait()
        if not self._term:
            self._term = await self._make_term()
        return self._term

    async def admit(self) -> float:
        await self._is_free.wait()
        return math.inf

    async def confirm(self) -> None:
        """The lock of the state folder is the proof."""
        await self._is_free.wait()

    async def was_overtaken(self, words: str) -> None:
        if self._is_free.is_set():
            raise Deposed(words)
        # by the replacement, which was asked to: whether it leads on is not decided yet
        await self._is_free.wait()

    def tell(self, fact: Fact, reason: str = "") -> None:
        self._told = fact


class GroupLead:
    """With `--ha`. `call_s`: how long a call with an effect may take; the lease outlives it."""

    def __init__(self, keys: Keys, call_s: float, clock: Clock) -> None:
        self._keys = keys
        self._call_s = call_s
        self._clock = clock
        self._news = asyncio.Event()
        self._retaken: list[float] = []
        self._is_held = False
        self._election: Election | None = None

    def attach(self, election: Election) -> None:
        self._election = election

    @property
    def has_election(self) -> bool:
        return self._election is not None

    @property
    def election(self) -> Election:
        assert self._election is not None, "attach comes first"
        return self._election

    @property
    def role(self) -> str:
        return self.election.leadership.role.value

    def changed(self, before: Leadership, now: Leadership) -> None:
        """For the election to call. Wakes all who wait."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def hold(self) -> None:
        self._is_held = True

    def lead_on(self) -> None:
        self._is_held = False
        self.changed(self.election.leadership, self.election.leadership)

    def guard(self) -> Created | None:
        """What must hold for a write to the store; None as long as this process has never led."""
        revision = self.election.create_revision
        return Created(self._keys.leader, revision) if revision else None

    async def term(self) -> int:
        await self._until_leading()
        return self.election.leadership.term

    async def admit(self) -> float:
        await self._until_leading()
        return self._call_s

    async def confirm(self) -> None:
        await self._until_leading()
        while True:
            try:
                await self.election.confirm()
            except (Retryable, Refused):
                # the deadline decides, not this try
                await self._clock.sleep(self._call_s / 4)
            else:
                if self.election.may_act():
                    return
            await self._until_leading()

    async def was_overtaken(self, words: str) -> None:
        now = self._clock.monotonic()
        self._retaken = [at for at in self._retaken if now - at < RETAKEN_S]
        if len(self._retaken) >= MAX_RETAKEN:
            raise Deposed(
                f"{words}; and this was the {MAX_RETAKEN + 1}th time within a minute though the lease is ours"
            )
        await self.confirm()
        self._retaken.append(now)

    def tell(self, fact: Fact, reason: str = "") -> None:
        self.election.tell(fact, reason)

    async def deposed(self) -> None:
        """Deposed, when that has happened."""
        while True:
            self._refuse_deposed()
            await self._news.wait()

    def _refuse_deposed(self) -> None:
        if self.election.leadership.role is Role.DEPOSED:
            raise Deposed(f"this scheduler does not lead any more: {self.election.leadership.reason}")

    async def _until_leading(self) -> None:
        while self._is_held or not self.election.may_act():
            self._refuse_deposed()
            news = self._news
            waiting = asyncio.ensure_future(news.wait())
            # a deadline that has passed is told of a moment later; a renewal brings the lead back
            timer = asyncio.ensure_future(self._clock.sleep(self._call_s))
            try:
                await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (waiting, timer):
                    each.cancel()
                await asyncio.gather(waiting, timer, return_exceptions=True)
