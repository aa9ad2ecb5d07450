"""Executor specs by their SHA-256: ours goes into the store before anything is launched, those of others come from it.

Knows that a record's name proves its content, and is never written over.  A record that is damaged costs words in a
refusal, nothing more: it is told and left out.  All are kept: a spec has some kilobytes, and one is made only by
another configuration or another km.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from kmsched import fingerprint
from kmsched.clients.store import Store
from kmsched.core.events import SpecsLearned
from kmsched.core.executors import plain_id
from kmsched.errors import ConfigRefused, Conflict

log = logging.getLogger(__name__)

Json = dict[str, Any]

FOLDER = "executors/"
#: objects in every spec, whatever its schema
PARTS = ("flags", "artifacts", "executor")


class Specs:
    """`spec` is ours. `known`: SHA-256 -> spec, as far as the store has told."""

    def __init__(self, store: Store, spec: Mapping[str, Any]) -> None:
        self._store = store
        self._spec = spec
        self.ours = fingerprint.fingerprint(spec)
        self.known: dict[str, Mapping[str, Any]] = {self.ours: spec}

    async def open(self) -> SpecsLearned:
        """Store ours, and read all. ConfigRefused: the store cannot be written."""
        await self._keep_ours()
        for key in await self._store.list(FOLDER):
            await self._learn(key)
        return self.learned()

    async def news(self) -> AsyncGenerator[SpecsLearned, None]:
        """After each spec that another scheduler has stored since; never ends."""
        async with aclosing(self._store.watch(FOLDER)) as keys:
            async for key in keys:
                if await self._learn(key):
                    yield self.learned()

    def differences(self, sha256: str) -> Sequence[str]:
        """In what the spec with this SHA-256 differs from ours, in words; none when it is not known."""
        return fingerprint.differences(self._spec, self.known.get(sha256, self._spec))

    def learned(self) -> SpecsLearned:
        """In what each known spec differs from ours, by executor id."""
        return SpecsLearned(
            {
                id_of(sha256): fingerprint.differences(self._spec, spec)
                for sha256, spec in self.known.items()
                if sha256 != self.ours
            }
        )

    def listed(self, running: Mapping[str, int]) -> list[Json]:
        """One line for each known spec, and for each executor that runs with an unknown one, by its first digits.

        `running`: executor id -> on how many agents.
        """
        unknown = sorted(set(running) - {id_of(sha256) for sha256 in self.known})
        lines = [self._line(sha256, id_of(sha256), running) for sha256 in sorted(self.known)]
        return lines + [self._line(None, executor_id, running) for executor_id in unknown]

    def found(self, prefix: str) -> Sequence[Json]:
        """Known specs of which the SHA-256 or the executor id begins so."""
        digits = plain_id(prefix).removeprefix(fingerprint.ID_PREFIX)
        matches = sorted(sha256 for sha256 in self.known if digits and sha256.startswith(digits))
        return [
            {"fingerprint": each, "executor_id": id_of(each), "ours": each == self.ours, "spec": self.known[each]}
            for each in matches
        ]

    def _line(self, sha256: str | None, executor_id: str, running: Mapping[str, int]) -> Json:
        spec = self.known.get(sha256 or "", {})
        return {
            "fingerprint": sha256,
            "executor_id": executor_id,
            "ours": sha256 == self.ours,
            "schema": spec.get("schema"),
            "artifacts": spec.get("artifacts", {}),
            "agents": running.get(executor_id, 0),
        }

    async def _keep_ours(self) -> None:
        key, text = FOLDER + self.ours, fingerprint.canonical(self._spec).decode("ascii")
        try:
            kept = await self._store.get(key)
        except ConfigRefused:
            return  # told when all are read
        if kept is None:
            with suppress(Conflict):  # another scheduler stored the same meanwhile
                await self._store.create(key, text)

    async def _learn(self, key: str) -> bool:
        """False: it is known already, or no spec."""
        sha256 = key.removeprefix(FOLDER)
        try:
            record = await self._store.get(key)
        except ConfigRefused as error:
            log.error("an executor spec is left out: %s", error)
            return False
        if record is None:
            return False
        actual = hashlib.sha256(record.value.encode()).hexdigest()
        if actual != sha256:
            log.error(
                "an executor spec is left out: the record %s of the store holds one with the SHA-256 %s;"
                " nothing is written over it: remove it, a scheduler that has this spec stores it again at its start",
                key,
                actual,
            )
            return False
        is_news = sha256 not in self.known
        spec = _spec_of(record.value)
        if spec is None:
            log.error("an executor spec is left out: the record %s of the store is none", key)
            return False
        self.known[sha256] = spec
        return is_news


def id_of(sha256: str) -> str:
    """The executor id that goes with a fingerprint."""
    return fingerprint.ID_PREFIX + sha256[: fingerprint.ID_DIGITS]


def _spec_of(text: str) -> Mapping[str, Any] | None:
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(spec, dict) or not all(isinstance(spec.get(part, {}), dict) for part in PARTS):
        return None
    return spec
