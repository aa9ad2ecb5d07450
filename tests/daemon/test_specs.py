"""Executor specs in the store: ours lies there before any launch, others' give words, damaged ones cost nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from kmsched import fingerprint
from kmsched.clients.store import FolderStore
from kmsched.core.events import SpecsLearned
from kmsched.daemon.specs import Specs, id_of
from kmsched.errors import ConfigRefused


def spec(**flags: str) -> dict[str, Any]:
    return {"schema": 2, "flags": flags, "artifacts": {"km-path": "ab" * 32}, "executor": {"role": "*"}}


OURS, THEIRS = spec(domain="a"), spec(domain="b")
OUR_SHA, THEIR_SHA = fingerprint.fingerprint(OURS), fingerprint.fingerprint(THEIRS)
DIFFERENCE = {id_of(THEIR_SHA): ("--domain: 'a' here, 'b' there",)}


def with_store(folder: Path, check: Callable[[FolderStore], Awaitable[None]]) -> None:
    async def scenario() -> None:
        store = FolderStore(folder)
        try:
            await check(store)
        finally:
            store.close()

    asyncio.run(scenario())


async def keep(store: FolderStore, text: str, sha256: str = "") -> None:
    await store.create(f"executors/{sha256 or hashlib.sha256(text.encode()).hexdigest()}", text)


def test_ours_is_stored_once_under_its_hash_and_never_written_over(tmp_path: Path) -> None:
    async def check(store: FolderStore) -> None:
        for _ in range(2):
            assert await Specs(store, OURS).open() == SpecsLearned({})
        record = await store.get(f"executors/{OUR_SHA}")
        assert record is not None
        assert record.revision == 1
        assert record.value.encode() == fingerprint.canonical(OURS)
        assert hashlib.sha256(record.value.encode()).hexdigest() == OUR_SHA
        assert await store.list("") == (f"executors/{OUR_SHA}",)

    with_store(tmp_path, check)


def test_others_are_told_with_the_flags_that_differ(tmp_path: Path) -> None:
    async def check(store: FolderStore) -> None:
        await Specs(store, THEIRS).open()
        assert await Specs(store, OURS).open() == SpecsLearned(DIFFERENCE)

    with_store(tmp_path, check)


def test_a_spec_that_another_scheduler_stores_later_is_told_once(tmp_path: Path) -> None:
    async def check(store: FolderStore) -> None:
        ours = Specs(store, OURS)
        await ours.open()
        async with aclosing(ours.news()) as news:
            coming = asyncio.ensure_future(anext(news))
            await asyncio.sleep(0)
            await Specs(store, THEIRS).open()
            assert await coming == SpecsLearned(DIFFERENCE)
            await Specs(store, spec(domain="c")).open()
            assert len((await anext(news)).differences) == 2

    with_store(tmp_path, check)


@pytest.mark.parametrize(
    ("text", "sha256", "words"),
    [
        (json.dumps(THEIRS) + " ", THEIR_SHA, "holds one with the SHA-256"),
        ("[1]", "", "is none"),
        ("{", "", "is none"),
        ('{"flags":3}', "", "is none"),
        ("[" * 5000, "", "is none"),
    ],
)
def test_a_record_that_is_not_what_its_name_says_is_left_out_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, sha256: str, words: str
) -> None:
    async def check(store: FolderStore) -> None:
        await keep(store, text, sha256)
        before = {key: await store.get(key) for key in await store.list("executors/")}
        assert await Specs(store, OURS).open() == SpecsLearned({})
        assert all([await store.get(key) == record for key, record in before.items()])

    with_store(tmp_path, check)
    assert [words in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [True]


def test_a_damaged_record_of_ours_does_not_keep_the_scheduler_from_its_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(store: FolderStore) -> None:
        (tmp_path / "executors").mkdir()
        (tmp_path / "executors" / OUR_SHA).write_bytes(b"{")
        await keep(store, fingerprint.canonical(THEIRS).decode())
        assert await Specs(store, OURS).open() == SpecsLearned(DIFFERENCE)

    with_store(tmp_path, check)
    assert f"executors/{OUR_SHA}: cannot be read" in caplog.text
    assert "remove it" in caplog.text


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    async def check(store: FolderStore) -> None:
        (tmp_path / "executors" / f".{OUR_SHA}.new").mkdir(parents=True)
        with pytest.raises(ConfigRefused, match="cannot be written"):
            await Specs(store, OURS).open()

    with_store(tmp_path, check)


def test_specs_are_listed_and_found_by_their_beginning(tmp_path: Path) -> None:
    async def check(store: FolderStore) -> None:
        await Specs(store, THEIRS).open()
        ours = Specs(store, OURS)
        await ours.open()
        listed = ours.listed({id_of(OUR_SHA): 3, "km-unknown": 1})
        assert [(each["fingerprint"], each["ours"], each["agents"]) for each in listed] == [
            *sorted([(OUR_SHA, True, 3), (THEIR_SHA, False, 0)]),
            (None, False, 1),
        ]
        assert listed[0]["artifacts"] == {"km-path": "ab" * 32}
        assert listed[2]["executor_id"] == "km-unknown"
        for prefix in (THEIR_SHA, THEIR_SHA[:6], id_of(THEIR_SHA)):
            (found,) = ours.found(prefix)
            assert found == {
                "fingerprint": THEIR_SHA,
                "executor_id": id_of(THEIR_SHA),
                "ours": False,
                "spec": THEIRS,
            }
        assert [len(ours.found(prefix)) for prefix in ("", "km-", "zz")] == [0, 0, 0]

    with_store(tmp_path, check)
