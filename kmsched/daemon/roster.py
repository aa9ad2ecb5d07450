"""What etcd said last of all schedulers of one framework: who leads, who is there, as of which revision.

Knows how lists and messages of a watch are put together when they overlap, come late, or come from an etcd that was
restored from a backup.  It asks nobody and decides nothing.
"""

from __future__ import annotations

import logging

from kmsched.core import leadership as leading
from kmsched.errors import Fatal
from kmsched.wire import members as records
from kmsched.wire.etcd import KeyValue, News, RangeAnswer
from kmsched.wire.members import Keys, Leader, Member

log = logging.getLogger(__name__)


class Roster:
    """`leader` is None while `leader_kv` is not: somebody leads, though it cannot be read who."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.revision = 0
        self.leader: Leader | None = None
        self.leader_kv: KeyValue | None = None
        self.members: dict[str, Member] = {}
        self._created: dict[str, int] = {}  # create revisions of these keys
        #: whom the leader, or the last one that there was, has named to follow it; "": anybody
        self.successor = ""
        #: of that leader's record
        self.passed_on = 0

    @property
    def term(self) -> int:
        """Of whoever leads; 0: nobody, or nobody knows who."""
        if self.leader is None or self.leader_kv is None:
            return 0
        return leading.new_term(self.leader_kv.create_revision, self.leader.term_at_least - 1)

    def first_members(self, count: int) -> list[Member]:
        """Those who came first, in this order; at most so many."""
        names = sorted(self.members, key=lambda name: self._created[name])
        return [self.members[name] for name in names[:count]]

    def listed(self, answer: RangeAnswer, known: int) -> None:
        """A list that was asked for when `known` was the revision.

        It is late when news of more came meanwhile.  But a linearizable read never shows less than was known when it
        was sent, except in an etcd that was restored from a backup: then what was known before counts no more.
        """
        if known <= answer.header.revision < self.revision:
            return
        self.revision = answer.header.revision
        self.leader = self.leader_kv = None
        self.members, self._created = {}, {}
        for kv in answer.kvs:
            self.found(kv)

    def told(self, news: News) -> None:
        """A message of the watch. That a watch was made tells a revision, too, but not what changed up to it."""
        if not news.events or news.header.revision < self.revision:
            return
        for change in news.events:
            # a list may have been ahead; of one revision there may be several changes
            if change.kv.mod_revision < self.revision:
                continue
            if change.is_deletion:
                self._remove(change.kv)
            else:
                self.found(change.kv)
        self.revision = news.header.revision

    def found(self, kv: KeyValue) -> None:
        try:
            if kv.name == self._keys.leader:
                self.leader_kv = kv
                self.leader = None
                self.leader = records.decode_leader(kv)
                self.successor, self.passed_on = self.leader.successor, self.leader.passed_on
            elif kv.name.startswith(self._keys.members):
                self.members[kv.name] = records.decode_member(kv)
                self._created[kv.name] = kv.create_revision
        except Fatal as error:
            log.error("%s", error)

    def _remove(self, kv: KeyValue) -> None:
        if kv.name == self._keys.leader:
            self.leader = self.leader_kv = None
        else:
            self.members.pop(kv.name, None)
            self._created.pop(kv.name, None)
