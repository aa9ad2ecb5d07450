"""What keeps a scheduler process known to its group: one lease, and the member record that lives by it.

Knows how a lease is begun, after whom, and given back.  When it is renewed, and what leads, the election knows.
"""

from __future__ import annotations

import logging
from random import Random

import msgspec

from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock
from kmsched.core.leadership import Role
from kmsched.errors import ConfigRefused, KmError, ProtocolError
from kmsched.wire import members as records
from kmsched.wire.etcd import Put
from kmsched.wire.members import Keys, Member

log = logging.getLogger(__name__)

LEASE_ID_BITS = 62


class Membership:
    """`lease_id` 0: there is none. `renewed_at`: when its last successful renewal was sent, in monotonic seconds."""

    def __init__(self, etcd: EtcdClient, keys: Keys, member: Member, ttl_s: int, clock: Clock, rng: Random) -> None:
        self._etcd = etcd
        self._keys = keys
        self._ttl_s = ttl_s
        self._clock = clock
        self._rng = rng
        self._stored: Member | None = None
        self.member = member
        self.lease_id = 0
        self.renewed_at = float("-inf")

    async def begin(self) -> None:
        """Take a lease. ConfigRefused: another scheduler has our name."""
        await self._displace_predecessor()
        sent_at = self._clock.monotonic()
        lease_id = self._rng.getrandbits(LEASE_ID_BITS) | 1
        await self._etcd.grant(lease_id, self._ttl_s)
        self.lease_id, self.renewed_at = lease_id, sent_at
        self.member = msgspec.structs.replace(self.member, lease_id=str(lease_id))

    def renewed(self, sent_at: float) -> None:
        self.renewed_at = max(self.renewed_at, sent_at)

    async def write(self, role: Role) -> None:
        """Store what is not stored yet."""
        wanted = msgspec.structs.replace(self.member, role=role.value)
        # without a lease the key would stay for ever
        if wanted == self._stored or not self.lease_id or role is Role.DEPOSED:
            return
        await self._etcd.txn([], [Put(self._keys.member(wanted.instance), records.encode(wanted), self.lease_id)])
        self._stored = wanted

    async def end(self) -> None:
        """So that nobody waits for the lease's TTL. Best effort: what is not told expires."""
        lease_id, self.lease_id = self.lease_id, 0
        if lease_id:
            try:
                await self._etcd.revoke(lease_id)
            except KmError as error:
                log.warning("our lease could not be revoked, it expires by itself: %s", error)

    async def _displace_predecessor(self) -> None:
        """End the lease of a process that was here before us: we hold the lock that it held, so it is dead."""
        found = (await self._etcd.range(self._keys.member(self.member.instance))).kvs
        if not found:
            return
        try:
            other = records.decode_member(found[0])
            lease_id = int(other.lease_id)
        except (ProtocolError, ValueError) as error:
            # written over with ours: a record that nobody can read must not keep us from starting, again and again
            log.error("what is stored of this instance is left aside: %s", error)
            return
        if other.boot_id == self.member.boot_id:
            return
        if other.home != self.member.home:
            raise ConfigRefused(
                f"another scheduler is called {other.instance!r}, too: it is at {other.url}, with its state in"
                f" {other.home}; give each its own --ha-instance, or wait until that one's lease has run out"
            )
        log.warning("ending the lease of %s, which ran here before us", other.boot_id)
        await self._etcd.revoke(lease_id)
