"""A `Store` whose server may be away: each call is made until it is answered.

Knows that a write without an answer may have happened, so it looks before it writes again.  What is stored but cannot
be read, and what somebody else has written, is not waited for: the caller is told.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from random import Random
from typing import TypeVar

from kmsched.clients.backoff import Backoff
from kmsched.clients.store import Record, Store
from kmsched.clock import Clock
from kmsched.errors import Conflict, KmError, Refused, Retryable

log = logging.getLogger(__name__)

BASE_S, CAP_S = 0.2, 5.0

T = TypeVar("T")


class PatientStore:
    """Conflict, and ConfigRefused for a record that cannot be read, come through; nothing else does."""

    def __init__(self, store: Store, clock: Clock, rng: Random) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng

    async def get(self, key: str) -> Record | None:
        return await self._until_answered(f"reading {key}", lambda: self._store.get(key))

    async def list(self, prefix: str) -> tuple[str, ...]:
        return await self._until_answered(f"listing {prefix}", lambda: self._store.list(prefix))

    async def create(self, key: str, value: str) -> Record:
        return await self.put(key, value, 0)

    async def put(self, key: str, value: str, revision: int) -> Record:
        is_in_doubt = False

        async def write() -> Record:
            nonlocal is_in_doubt
            if is_in_doubt:
                found = await self._store.get(key)
                if found is not None and (found.revision, found.value) == (revision + 1, value):
                    return found
            is_in_doubt = True
            return await self._store.put(key, value, revision)

        return await self._until_answered(f"writing {key}", write)

    def watch(self, prefix: str) -> AsyncGenerator[str, None]:
        return self._store.watch(prefix)

    async def _until_answered(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(BASE_S, CAP_S, self._rng)
        told: KmError | None = None
        while True:
            try:
                return await ask()
            except Conflict:
                raise
            except (Retryable, Refused) as error:
                if told is None:
                    log.warning("%s: %s; trying on", what, error)
                told = error
            await self._clock.sleep(backoff.next_s())
