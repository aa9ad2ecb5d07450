"""The `Store` of schedulers that share one: records as keys of etcd, each write under the guard of the leader key.

Knows the form of a record, which is that of the state folder, and that a write whose answer was lost may have happened.
It does not know what records mean, nor who leads: the guard is given.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from random import Random

import msgspec

from kmsched.clients.backoff import Backoff
from kmsched.clients.etcd import EtcdClient
from kmsched.clients.store import SCHEMA, Record, is_key
from kmsched.clock import Clock
from kmsched.errors import ConfigRefused, Conflict, Refused, Retryable
from kmsched.wire import typed
from kmsched.wire.etcd import Compare, Created, KeyValue, Modified, Put
from kmsched.wire.members import Keys

WATCH_PAUSE_S, WATCH_PAUSE_MAX_S = 0.1, 5.0

_record = msgspec.json.Decoder(Record)


class EtcdStore:
    """`guard` gives what must hold for a write to be ours, None when anybody may write: a tool, or a record that is
    the same whoever writes it.

    Unavailable: etcd does not answer, or not in time; then a write may have happened.
    """

    def __init__(
        self, etcd: EtcdClient, keys: Keys, guard: Callable[[], Compare | None], clock: Clock, rng: Random
    ) -> None:
        self._etcd = etcd
        self._keys = keys
        self._guard = guard
        self._clock = clock
        self._rng = rng

    async def get(self, key: str) -> Record | None:
        kv = await self._read(key)
        return self._decode(kv) if kv is not None else None

    async def create(self, key: str, value: str) -> Record:
        return await self.put(key, value, 0)

    async def put(self, key: str, value: str, revision: int) -> Record:
        kv = await self._read(key)
        found = self._decode(kv).revision if kv is not None else 0
        name = self._name(key)
        if found != revision:
            raise Conflict(
                f"{name} in etcd: revision {found} is stored, revision {revision} was expected; read it again"
            )
        record = Record(SCHEMA, revision + 1, value)
        unchanged: Compare = _unchanged(name, kv)
        guard = self._guard()
        compares = [unchanged] if guard is None else [unchanged, guard]
        answer = await self._etcd.txn(compares, [Put(name, msgspec.json.encode(record))])
        if not answer.succeeded:
            raise Conflict(
                f"{name} in etcd: not written: {'' if guard is None else 'this scheduler does not lead any more, or '}"
                "somebody else has just written it; read it again"
            )
        return record

    async def list(self, prefix: str) -> tuple[str, ...]:
        keys, _ = await self._list(prefix)
        return keys

    async def watch(self, prefix: str) -> AsyncGenerator[str, None]:
        """As `Store` says; what breaks is taken up again, and then each key is told again."""
        backoff = Backoff(WATCH_PAUSE_S, WATCH_PAUSE_MAX_S, self._rng)
        told: set[str] = set()
        while True:
            try:
                keys, revision = await self._list(prefix)
                # what was deleted between two watches is in no list
                told.update(keys)
                for key in sorted(told):
                    yield key
                async with aclosing(self._etcd.watch(self._keys.prefix + prefix, revision + 1)) as watch:
                    async for news in watch:
                        backoff.reset()
                        for change in news.events:
                            key = change.kv.name.removeprefix(self._keys.prefix)
                            if is_key(key) and not self._is_not_ours(key):
                                told.add(key)
                                yield key
            except (Retryable, Refused):
                await self._clock.sleep(backoff.next_s())

    def _name(self, key: str) -> str:
        if not is_key(key) or self._is_not_ours(key):
            raise ValueError(f"{key!r} is no key of the store")
        return self._keys.prefix + key

    def _is_not_ours(self, key: str) -> bool:
        """Keys of the election, which live by a lease."""
        name = self._keys.prefix + key
        return name == self._keys.leader or name.startswith(self._keys.members)

    async def _read(self, key: str) -> KeyValue | None:
        kvs = (await self._etcd.range(self._name(key))).kvs
        return kvs[0] if kvs else None

    async def _list(self, prefix: str) -> tuple[tuple[str, ...], int]:
        answer = await self._etcd.range(self._keys.prefix + prefix, is_prefix=True)
        keys = (kv.name.removeprefix(self._keys.prefix) for kv in answer.kvs)
        return tuple(sorted(key for key in keys if is_key(key) and not self._is_not_ours(key))), answer.header.revision

    def _decode(self, kv: KeyValue) -> Record:
        try:
            record = _record.decode(kv.value)
        except typed.UNDECODABLE as error:
            raise ConfigRefused(
                f"{kv.name} in etcd cannot be read: {error}; nothing was changed; restore it from a snapshot of etcd"
            ) from error
        if record.schema != SCHEMA:
            raise ConfigRefused(
                f"{kv.name} in etcd has schema {record.schema}, and this version reads schema {SCHEMA};"
                " nothing was changed; use the version of km that wrote it"
            )
        return record


def _unchanged(name: str, kv: KeyValue | None) -> Compare:
    return Created(name, 0) if kv is None else Modified(name, kv.mod_revision)
