"""Leading by a lease in etcd: renewed while the process lives, campaigned for when nobody leads.

Knows when a try for the lead may be made, and how it is kept.  The lease itself is in `membership`, a try in
`candidacy`; what a leader may do is in `core.leadership`, and what it does is not known here.  A watch tells of changes
at once, and a poll tells of those that a frozen member of etcd keeps to itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import msgspec

from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock
from kmsched.core import leadership as leading
from kmsched.core.leadership import Fact, Leadership, Role
from kmsched.daemon.candidacy import Candidacy
from kmsched.daemon.membership import Membership
from kmsched.daemon.roster import Roster
from kmsched.daemon.tenure import Vacancy
from kmsched.errors import Fatal, Gone, KmError, NotFound, Unavailable
from kmsched.wire import members as records
from kmsched.wire.etcd import Created, Put
from kmsched.wire.members import Keys, Member

log = logging.getLogger(__name__)

#: the deadline is looked at so often; acting asks the clock each time
DEADLINE_STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. renew_interval + request_deadline < renew_deadline < ttl is checked where flags are."""

    ttl_s: int
    renew_interval_s: float
    request_deadline_s: float
    renew_deadline_s: float

    @property
    def poll_s(self) -> float:
        return self.ttl_s / 3


class Election:
    """`run` until cancelled. `changed` is called after every change of `leadership`, with the one before.

    `may_campaign` says why this process must not lead now, or "".  `highest_term` is the highest term that is stored or
    that tasks name.
    """

    def __init__(
        self,
        etcd: EtcdClient,
        keys: Keys,
        member: Member,
        timing: Timing,
        *,
        may_campaign: Callable[[], str],
        highest_term: Callable[[], Awaitable[int]],
        changed: Callable[[Leadership, Leadership], None],
        clock: Clock,
        rng: Random,
    ) -> None:
        self._etcd = etcd
        self._keys = keys
        self._timing = timing
        self._may_campaign = may_campaign
        self._changed = changed
        self._clock = clock
        self._rng = rng
        self._membership = Membership(etcd, keys, member, timing.ttl_s, clock, rng)
        self._create_revision = 0
        self._look = asyncio.Event()
        self._listed_at = float("-inf")
        self._is_aside = False
        self.group = Roster(keys)
        self._candidacy = Candidacy(etcd, keys, self._membership, self.group, highest_term, clock)
        self.vacancy = Vacancy(clock)
        self.leadership = Leadership()
        #: why etcd cannot be used now, "" while it can
        self.trouble = "not asked yet"

    @property
    def create_revision(self) -> int:
        """Of our leader key: the guard of every write of this term."""
        return self._create_revision

    @property
    def member(self) -> Member:
        """What this process says of itself."""
        return self._membership.member

    @property
    def is_known_as_synced(self) -> bool:
        """Whether etcd shows that this process could lead at once."""
        shown = self.group.members.get(self._keys.member(self.member.instance))
        return shown is not None and shown.boot_id == self.member.boot_id and shown.is_synced

    @property
    def role(self) -> Role:
        return self.leadership.role

    def may_act(self) -> bool:
        return self.leadership.may_act(self._clock.monotonic())

    def tell(self, fact: Fact, reason: str = "") -> None:
        """What others know: SUBSCRIBED, SETTLED, UNSUBSCRIBED."""
        self._become(leading.after(self.leadership, fact, reason))

    def describe(self, **changes: object) -> None:
        """Change what our member key says; written with the next renewal."""
        described = msgspec.structs.replace(self.member, **changes)
        if described != self.member:
            self._membership.member = described
            self._look.set()

    async def run(self) -> None:
        """Until cancelled. Fatal: etcd will never take us."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew_forever())
            group.create_task(self._watch_forever())
            group.create_task(self._look_forever())
            group.create_task(self._mind_the_deadline())

    async def confirm(self) -> None:
        """Ask etcd now whether the lead is ours. Unavailable: no answer. If it is not, the role says so afterwards."""
        await self._renew()

    async def resign(self, reason: str) -> None:
        """Stop acting at once; then let others lead. The caller has settled what it had sent."""
        self._become(leading.after(self.leadership, Fact.RESIGNED, reason))
        await self.release()

    async def amend(self, **changes: object) -> None:
        """Change what our leader key says. Best effort."""
        leader = self.group.leader
        if leader is None or leader.boot_id != self.member.boot_id or not self.leadership.is_leading:
            return
        amended, key = msgspec.structs.replace(leader, **changes), self._keys.leader
        put = Put(key, records.encode(amended), self._membership.lease_id)
        try:
            answer = await self._etcd.txn([Created(key, self._create_revision)], [put])
            if answer.succeeded and self.group.leader is leader:
                self.group.leader, self.group.passed_on = amended, amended.passed_on
        except KmError as error:
            log.warning("our leader key could not be changed: %s", error)

    async def step_aside(self, reason: str) -> None:
        """Stop acting at once, then end the lease, and hold none until `stand_again`."""
        self._become(leading.after(self.leadership, Fact.YIELDED, reason))
        await self.release()

    def stand_again(self) -> None:
        self._is_aside = False

    async def release(self) -> None:
        """End our lease and take no other, so that nobody waits for its TTL. Best effort: what is not told expires."""
        self._is_aside = True
        await self._membership.end()

    # --- renewing

    async def _renew_forever(self) -> None:
        while self.leadership.role is not Role.DEPOSED:
            started = self._clock.monotonic()
            try:
                await self._renew()
                self._trouble("")
            except Fatal:
                raise
            except KmError as error:
                self._trouble(str(error))
            spent_s = self._clock.monotonic() - started
            await self._clock.sleep(max(0.0, self._timing.renew_interval_s - spent_s))

    async def _renew(self) -> None:
        if self._is_aside:
            return
        membership = self._membership
        if not membership.lease_id:
            await membership.begin()
            self._look.set()
            await self._write_member()
        lease_id, create_revision = membership.lease_id, self._create_revision
        sent_at = self._clock.monotonic()
        if self.role is Role.STANDBY:
            if await self._etcd.keepalive(lease_id):
                membership.renewed(sent_at)
                if self.group.leader_kv is None:
                    self._look.set()
                await self._write_member()
            # by now it may have been elected with this lease
            elif self.leadership.role is not Role.STANDBY:
                self._lose("etcd has ended our lease")
            else:
                log.warning("the lease of this standby ran out; taking another")
                membership.lease_id = 0
            return
        # in one deadline; and a lease that etcd calls alive though it was revoked shows in the key that is gone
        ttl_s, found = await asyncio.gather(self._etcd.keepalive(lease_id), self._etcd.range(self._keys.leader))
        kv = found.kvs[0] if found.kvs else None
        if not ttl_s:
            self._lose("etcd has ended our lease")
        elif kv is None or kv.create_revision != create_revision:
            self._lose("the leader key is gone" if kv is None else "another scheduler has the leader key")
        else:
            membership.renewed(sent_at)
            self._become(leading.renewed(self.leadership, sent_at, self._timing.renew_deadline_s))
            await self._write_member()

    async def _write_member(self) -> None:
        is_shown = self._keys.member(self.member.instance) in self.group.members
        await self._membership.write(self.leadership.role, is_shown=is_shown)

    def _lose(self, reason: str) -> None:
        self._become(leading.after(self.leadership, Fact.LOST, reason))

    # --- looking

    async def _watch_forever(self) -> None:
        while self.leadership.role is not Role.DEPOSED:
            try:
                await self._list()
                async for news in self._etcd.watch(self._keys.prefix, self.group.revision + 1):
                    self.group.told(news)
                    self._saw_leader()
            except (Unavailable, Gone, NotFound) as error:
                log.debug("the watch of etcd begins again: %s", error)
            except Fatal:
                raise
            except KmError as error:
                self._trouble(str(error))
            await self._clock.sleep(self._timing.poll_s * self._rng.uniform(0.1, 0.3))

    async def _look_forever(self) -> None:
        """Campaign whenever nobody leads; and look for ourselves when no news came for a while."""
        while self.leadership.role is not Role.DEPOSED:
            # what fails now is tried again after a pause, not at once for the news that it was tried for
            self._look.clear()
            try:
                if self._must_poll():
                    await self._list()
                await self._campaign()
            except (Unavailable, NotFound) as error:
                self._trouble(str(error))
            except Fatal:
                raise
            except KmError as error:
                self._trouble(str(error))
            await self._wait_for_news()

    def _must_poll(self) -> bool:
        return self._clock.monotonic() - self._listed_at >= self._timing.poll_s

    async def _wait_for_news(self) -> None:
        waiting = asyncio.ensure_future(self._look.wait())
        timer = asyncio.ensure_future(self._clock.sleep(self._timing.poll_s))
        try:
            await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (waiting, timer):
                each.cancel()
            await asyncio.gather(waiting, timer, return_exceptions=True)

    async def _list(self) -> None:
        known = self.group.revision
        answer = await self._etcd.range(self._keys.prefix, is_prefix=True)
        self._listed_at = self._clock.monotonic()
        self.group.listed(answer, known)
        self._saw_leader()

    def _saw_leader(self) -> None:
        boot_id = self.group.leader.boot_id if self.group.leader else ""
        self.vacancy.saw(boot_id if self.group.leader_kv is not None else None)
        if self.group.leader_kv is None:
            self._look.set()

    # --- campaigning

    async def _campaign(self) -> None:
        self._look.clear()
        lease_id, kv = self._membership.lease_id, self.group.leader_kv
        # the answer must come before the deadline that it gives us
        margin_s = self._timing.renew_deadline_s - self._timing.request_deadline_s
        is_fresh = lease_id != 0 and self._clock.monotonic() < self._membership.renewed_at + margin_s
        if self.leadership.role is not Role.STANDBY or self._is_aside or not is_fresh or self._may_campaign():
            return
        if (kv is not None and kv.lease != lease_id) or self._is_anothers_turn():
            return
        if (won := await self._candidacy.stand()) is not None:
            self._create_revision = won.create_revision
            renewed_at, limit_s = self._membership.renewed_at, self._timing.renew_deadline_s
            self._become(leading.elected(self.leadership, won.term, renewed_at, limit_s))

    def _is_anothers_turn(self) -> bool:
        is_named = self.group.successor not in ("", self.member.instance)
        return is_named and self.vacancy.lasts_s < self._timing.request_deadline_s

    # --- being

    async def _mind_the_deadline(self) -> None:
        while self.leadership.role is not Role.DEPOSED:
            now = self._clock.monotonic()
            self._become(leading.timed(self.leadership, now))
            wait_s = self.leadership.deadline - now if self.leadership.is_leading else self._timing.poll_s
            await self._clock.sleep(max(DEADLINE_STEP_S, wait_s))

    def _become(self, following: Leadership) -> None:
        before, self.leadership = self.leadership, following
        if (before.role, before.term) != (following.role, following.term):
            log.warning("%s -> %s: %s", before.role.value, following.role.value, following.reason)
            self._changed(before, following)

    def _trouble(self, reason: str) -> None:
        if reason and not self.trouble:
            log.warning("etcd cannot be used: %s", reason)
        elif self.trouble and not reason:
            log.info("etcd answers")
        self.trouble = reason
