"""Elections of others as models on etcd, so that ours is measured beside them on the same members.

Knows their algorithms and durations as their sources have them, not their storage: each uses one key here.  A crash is
the end of the task: nothing is written any more, nothing is revoked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from random import Random
from typing import Protocol

from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock
from kmsched.errors import KmError
from kmsched.wire.etcd import Created, KeyValue, Modified, Put


class Rival(Protocol):
    """One candidate. `leads`: whether it believes so now."""

    leads: bool

    async def run(self) -> None: ...


class K8sm:
    """The original: TTL of 30 s, looked at every 24 s, renewed by the holder then; no watch, no release."""

    TTL_S, PERIOD_S = 30, 24.0

    def __init__(self, name: str, key: str, etcd: EtcdClient, clock: Clock, rng: Random) -> None:
        self.leads = False
        self._key, self._etcd, self._clock, self._rng = key, etcd, clock, rng
        self._value = name.encode()
        self._lease_id = 0

    async def run(self) -> None:
        await self._clock.sleep(self._rng.random() * self.PERIOD_S)  # instances start at different times
        while True:
            with contextlib.suppress(KmError):  # its errors are logged only, and a leader does not step down
                await self._look()
            await self._clock.sleep(self.PERIOD_S)

    async def _look(self) -> None:
        kvs = (await self._etcd.range(self._key)).kvs
        if not kvs:
            await self._take()
        elif kvs[0].value == self._value:
            self.leads = await self._etcd.keepalive(self._lease_id) > 0
        else:
            self.leads = False

    async def _take(self) -> None:
        lease_id = self._rng.getrandbits(62)
        await self._etcd.grant(lease_id, self.TTL_S)
        won = (await self._etcd.txn([Created(self._key, 0)], [Put(self._key, self._value, lease_id)])).succeeded
        if won:
            self._lease_id, self.leads = lease_id, True


class ClientGo:
    """client-go's leader election with its defaults: lease 15 s, renew deadline 10 s, a try every 2 s, jitter 1.2."""

    LEASE_S, RENEW_DEADLINE_S, RETRY_S, JITTER = 15.0, 10.0, 2.0, 1.2

    def __init__(self, name: str, key: str, etcd: EtcdClient, clock: Clock, rng: Random) -> None:
        self.leads = False
        self._name, self._key, self._etcd, self._clock, self._rng = name, key, etcd, clock, rng
        self._seen: KeyValue | None = None
        self._seen_at = float("-inf")

    async def run(self) -> None:
        while True:
            if self.leads:
                await self._renew()
                await self._clock.sleep(self.RETRY_S)
            else:
                self.leads = await self._try()
                await self._clock.sleep(self.RETRY_S * (1 + self._rng.random() * self.JITTER))

    async def _renew(self) -> None:
        until_s = self._clock.monotonic() + self.RENEW_DEADLINE_S
        while not await self._try():
            if self._clock.monotonic() >= until_s:
                self.leads = False
                return
            await self._clock.sleep(self.RETRY_S)

    async def _try(self) -> bool:
        """Take the record if it is ours, or was not renewed for the lease's length since *we* saw it change."""
        try:
            kvs = (await self._etcd.range(self._key)).kvs
            found = kvs[0] if kvs else None
            if found != self._seen:
                self._seen, self._seen_at = found, self._clock.monotonic()
            if found is not None:
                is_ours = json.loads(found.value)["holder"] == self._name
                if not is_ours and self._clock.monotonic() < self._seen_at + self.LEASE_S:
                    return False
            unchanged = Created(self._key, 0) if found is None else Modified(self._key, found.mod_revision)
            record = json.dumps({"holder": self._name, "renewed": self._clock.wall()}).encode()
            return (await self._etcd.txn([unchanged], [Put(self._key, record)])).succeeded
        except KmError:
            return False


Make = Callable[[str, str, EtcdClient, Clock, Random], Rival]


async def crash(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
