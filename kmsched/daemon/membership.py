"""What keeps a scheduler process known to its group: one lease, and the member record that lives by it.

Knows how a lease is begun, after whom, and given back.  When it is renewed, and what leads, the election knows.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random

import msgspec

from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock
from kmsched.core.leadership import Role
from kmsched.errors import ConfigRefused, KmError, ProtocolError
from kmsched.wire import members as records
from kmsched.wire.etcd import Created, Get, Put
from kmsched.wire.members import Keys, Member

log = logging.getLogger(__name__)

LEASE_ID_BITS = 62
#: a lease that is not renewed is gone after one TTL; etcd's next leader counts it once more
LEASES = 2
LOOK_S = 0.5


class Membership:
    """`lease_id` 0: there is none. `renewed_at`: when its last successful renewal was sent, in monotonic seconds."""

    def __init__(self, etcd: EtcdClient, keys: Keys, member: Member, ttl_s: int, clock: Clock, rng: Random) -> None:
        self._etcd = etcd
        self._keys = keys
        self._ttl_s = ttl_s
        self._clock = clock
        self._rng = rng
        self._stored: Member | None = None
        #: of our member key; 0: there is none
        self._create_revision = 0
        self._ending: asyncio.Future[None] | None = None
        self.member = member
        self.lease_id = 0
        self.renewed_at = float("-inf")

    async def begin(self) -> None:
        """Take a lease, when nobody else has our name. ConfigRefused: somebody has, and lives."""
        self._create_revision, self._stored = await self._follow_predecessor(), None
        sent_at = self._clock.monotonic()
        lease_id = self._rng.getrandbits(LEASE_ID_BITS) | 1
        await self._etcd.grant(lease_id, self._ttl_s)
        self.lease_id, self.renewed_at = lease_id, sent_at
        self.member = msgspec.structs.replace(self.member, lease_id=str(lease_id))

    def renewed(self, sent_at: float) -> None:
        self.renewed_at = max(self.renewed_at, sent_at)

    async def write(self, role: Role, *, is_shown: bool) -> None:
        """Store what is not stored yet, and again what etcd does not show any more: somebody has deleted it.

        ConfigRefused: another scheduler has taken our name meanwhile.
        """
        wanted = msgspec.structs.replace(self.member, role=role.value)
        # without a lease the key would stay for ever
        if (wanted == self._stored and is_shown) or not self.lease_id or role is Role.DEPOSED:
            return
        key, lease_id = self._keys.member(wanted.instance), self.lease_id
        put = Put(key, records.encode(wanted), lease_id)
        answer = await self._etcd.txn([Created(key, self._create_revision)], [put], [Get(key)])
        if answer.succeeded:
            self._create_revision = self._create_revision or answer.header.revision
            self._stored = wanted
            return
        found = answer.found(0)
        if found is not None and found.lease != lease_id and not self._stored:
            raise _is_taken(records.decode_member(found))
        # the answer to an earlier try was lost, or somebody has deleted or replaced the key: the next try is made then
        self._create_revision = found.create_revision if found is not None else 0

    async def end(self) -> None:
        """So that nobody waits for the lease's TTL. Best effort: what is not told expires."""
        lease_id, self.lease_id = self.lease_id, 0
        if lease_id:
            self._ending = asyncio.ensure_future(self._revoke(lease_id))
        if self._ending is not None:
            # whoever asked first may be cancelled meanwhile; whoever asks again waits for the same
            await asyncio.shield(self._ending)

    async def _revoke(self, lease_id: int) -> None:
        try:
            await self._etcd.revoke(lease_id)
        except KmError as error:
            log.warning("our lease could not be revoked, it expires by itself: %s", error)

    async def _follow_predecessor(self) -> int:
        """Returns when nobody else has our name; the create revision of what may be written over, 0: nothing is there.

        A process that had the lock that we have now is dead, and its lease is ended.  Any other, which a copy of this
        host may be, lives as long as its lease does.
        """
        waits_until = self._clock.monotonic() + LEASES * self._ttl_s
        is_told = False
        while found := (await self._etcd.range(self._keys.member(self.member.instance))).kvs:
            try:
                other = records.decode_member(found[0])
                lease_id = int(other.lease_id)
            except (ProtocolError, ValueError) as error:
                # a record that nobody can read must not keep us from starting, again and again
                log.error("what is stored of this instance is left aside: %s", error)
                return found[0].create_revision
            if other.boot_id == self.member.boot_id:
                return found[0].create_revision
            if other.lock_id and other.lock_id == self.member.lock_id:
                log.warning("ending the lease of %s, which ran here before us", other.boot_id)
                await self._etcd.revoke(lease_id)
                continue
            if self._clock.monotonic() >= waits_until:
                raise _is_taken(other)
            if not is_told:
                log.warning("%s is known in etcd as the process %s; waiting for its end", other.instance, other.boot_id)
                is_told = True
            await self._clock.sleep(LOOK_S)
        return 0


def _is_taken(other: Member) -> ConfigRefused:
    return ConfigRefused(
        f"another scheduler is called {other.instance!r}, too, and lives: it is at {other.url}, with its state in"
        f" {other.home}; nothing of it was touched. Give each its own --ha-instance; a copy of a host needs a name of"
        " its own"
    )
