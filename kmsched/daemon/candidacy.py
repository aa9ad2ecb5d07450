"""One try to become the leader: what is put under the leader key, and what etcd's answer to it means.

Knows that answers are lost, that a lease may end while one waits, and that an etcd that was restored from a backup
counts from an older revision.  When a try may be made, and what follows from one that is won, the election knows.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock
from kmsched.core import leadership as leading
from kmsched.daemon.membership import Membership
from kmsched.daemon.roster import Roster
from kmsched.wire import members as records
from kmsched.wire.etcd import Created, Get, Put
from kmsched.wire.members import Keys, Leader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Won:
    """`create_revision`: of our leader key."""

    create_revision: int
    term: int


class Candidacy:
    """`highest_term` is the highest term that is stored or that tasks name."""

    def __init__(
        self,
        etcd: EtcdClient,
        keys: Keys,
        membership: Membership,
        roster: Roster,
        highest_term: Callable[[], Awaitable[int]],
        clock: Clock,
    ) -> None:
        self._etcd = etcd
        self._keys = keys
        self._membership = membership
        self._roster = roster
        self._highest_term = highest_term
        self._clock = clock

    async def stand(self) -> Won | None:
        """With the lease that there is. None: somebody else leads, or the lease ended meanwhile."""
        lease_id = self._membership.lease_id
        floor = await self._highest_term() + 1
        if self._membership.lease_id != lease_id:
            return None  # without its lease the key would stay for ever
        key = self._keys.leader
        put = Put(key, records.encode(self._record(floor)), lease_id)
        answer = await self._etcd.txn([Created(key, 0)], [put], [Get(key)])
        if self._membership.lease_id != lease_id:
            return None  # the key went with its lease; what we know of our own lease says nothing of that one
        if answer.succeeded:
            return _won(answer.header.revision, floor)
        if (found := answer.found(0)) is not None:
            # the answer to an earlier try may have been lost
            if found.lease == lease_id:
                return _won(found.create_revision, records.decode_leader(found).term_at_least)
            self._roster.found(found)
        return None

    def _record(self, floor: int) -> Leader:
        member = self._membership.member
        return Leader(
            instance=member.instance,
            boot_id=member.boot_id,
            url=member.url,
            since_s=self._clock.wall(),
            term_at_least=floor,
            lease_id=str(self._membership.lease_id),
            fingerprint=member.fingerprint,
            version=member.version,
            passed_on=self._roster.passed_on,
        )


def _won(create_revision: int, floor: int) -> Won:
    term = leading.new_term(create_revision, floor - 1)
    if term > create_revision:
        log.warning(
            "etcd is at revision %d, and terms up to %d are known: it was restored from a backup or made anew, and"
            " what was written since is lost; leading in term %d",
            create_revision,
            floor - 1,
            term,
        )
    return Won(create_revision, term)
