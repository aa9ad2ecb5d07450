"""A store whose server is away: asked until it answers, and never written twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from random import Random

import pytest

from kmsched.clients.patient_store import PatientStore
from kmsched.clients.store import SCHEMA, Record
from kmsched.errors import ConfigRefused, Conflict, Forbidden, Invalid, KmError, NotFound, Unavailable
from tests.clients.fakes import FakeClock

PASSING = (Unavailable("away"), Forbidden("the token is old"), Invalid("odd"), NotFound("no lease"))


@dataclass
class Shaky:
    """`fails`: what the next calls raise; `happens`: whether a write that fails has happened all the same."""

    fails: list[KmError] = field(default_factory=list)
    happens: bool = False
    records: dict[str, Record] = field(default_factory=dict)
    writes: int = 0

    def _may_fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    async def get(self, key: str) -> Record | None:
        self._may_fail()
        return self.records.get(key)

    async def create(self, key: str, value: str) -> Record:
        return await self.put(key, value, 0)

    async def put(self, key: str, value: str, revision: int) -> Record:
        if not self.fails or self.happens:
            found = self.records.get(key)
            if (found.revision if found else 0) != revision:
                raise Conflict("somebody else was first")
            self.writes += 1
            self.records[key] = Record(SCHEMA, revision + 1, value)
        self._may_fail()
        return self.records[key]

    async def list(self, prefix: str) -> tuple[str, ...]:
        self._may_fail()
        return tuple(self.records)

    async def watch(self, prefix: str) -> AsyncGenerator[str, None]:
        for key in self.records:
            yield key


def patient(store: Shaky) -> PatientStore:
    return PatientStore(store, FakeClock(), Random(1))


@pytest.mark.parametrize("happens", [False, True])
@pytest.mark.parametrize("error", PASSING)
def test_calls_are_made_until_they_are_answered(error: KmError, happens: bool) -> None:
    async def main() -> None:
        store = Shaky([error] * 3, happens)
        one = patient(store)
        assert await one.get("k") is None
        store.fails = [error]
        assert await one.create("k", "v") == Record(SCHEMA, 1, "v")
        assert store.writes == 1
        store.fails = [error]
        assert await one.list("") == ("k",)
        assert [key async for key in one.watch("")] == ["k"]

    asyncio.run(main())


def test_what_somebody_else_wrote_while_the_answer_was_lost_is_told() -> None:
    async def main() -> None:
        store = Shaky([Unavailable("away")])
        store.records["k"] = Record(SCHEMA, 1, "theirs")
        with pytest.raises(Conflict):
            await patient(store).create("k", "ours")
        assert store.records["k"].value == "theirs"

    asyncio.run(main())


def test_what_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ConfigRefused, match="schema 2"):
        asyncio.run(patient(Shaky([ConfigRefused("schema 2")])).get("k"))
