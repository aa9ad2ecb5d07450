"""Framework id and term: never guessed, never repeated, stored before use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.clients.store import FolderStore
from kmsched.core.events import PodChanged
from kmsched.core.step import step
from kmsched.core.taskid import TaskId, parse_task_id
from kmsched.daemon.core import Core
from kmsched.daemon.identity import MAX_SEEN_TERM, MAX_TERM, FrameworkId, next_term, reset_framework_id
from kmsched.errors import EXIT_FRAMEWORK_ID_MISSING, ConfigRefused, FrameworkIdMissing, Mismatched, ProtocolError
from tests.core.values import SETTINGS, pod


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FolderStore]:
    made = FolderStore(tmp_path)
    yield made
    made.close()


def loaded(store: FolderStore) -> FrameworkId:
    framework_id = FrameworkId(store, "Kubernetes", str(store.folder))
    asyncio.run(framework_id.load())
    return framework_id


def test_each_term_is_higher_than_all_before_and_than_what_was_seen(store: FolderStore) -> None:
    async def scenario() -> list[int]:
        return [
            await next_term(store),
            await next_term(store),
            await next_term(store, above=40),
            await next_term(store),
        ]

    assert asyncio.run(scenario()) == [1, 2, 41, 42]


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "9" * 40])
def test_a_stored_term_that_is_none_is_refused(store: FolderStore, value: str) -> None:
    asyncio.run(store.create("term", value))
    with pytest.raises(ConfigRefused, match="the stored term is"):
        asyncio.run(next_term(store))


def test_no_annotation_can_use_the_terms_up(store: FolderStore) -> None:
    """A user who may edit pods must not be able to stop the scheduler for good."""
    core = Core(SETTINGS, 1, step)
    for number, task_id in enumerate(("u0.zzzzzzzzzzzzzzzz.1", "other.7.1", "u2.5.1")):
        core.step(PodChanged(pod(f"u{number}", task_id=task_id)), 0.0)
    assert core.highest_term() == 5

    async def scenario() -> list[int]:
        return [await next_term(store, above=MAX_SEEN_TERM), await next_term(store)]

    terms = asyncio.run(scenario())
    assert terms == [MAX_SEEN_TERM + 1, MAX_SEEN_TERM + 2]
    assert parse_task_id(str(TaskId("u1", MAX_TERM, 1))) == TaskId("u1", MAX_TERM, 1)


def test_the_first_framework_id_is_on_the_disk_when_it_is_taken(store: FolderStore) -> None:
    framework_id = loaded(store)
    assert framework_id.value is None
    asyncio.run(framework_id.subscribed("f-1"))
    asyncio.run(framework_id.subscribed("f-1"))
    assert loaded(store).value == "f-1"


def test_another_framework_id_than_the_stored_one_is_not_taken(store: FolderStore) -> None:
    framework_id = loaded(store)
    asyncio.run(framework_id.subscribed("f-1"))
    with pytest.raises(ProtocolError, match="subscribed us as 'f-2', we asked for 'f-1'"):
        asyncio.run(framework_id.subscribed("f-2"))
    assert loaded(store).value == "f-1"


def test_a_missing_framework_id_is_refused_while_pods_are_bound(store: FolderStore) -> None:
    framework_id = loaded(store)
    framework_id.require_if_bound([])
    with pytest.raises(FrameworkIdMissing) as refusal:
        framework_id.require_if_bound(["default/b", "default/a"])
    assert refusal.value.exit_code == EXIT_FRAMEWORK_ID_MISSING
    words = str(refusal.value)
    assert "2 pods are bound by this scheduler (default/a, default/b)" in words
    assert f"{store.folder}/framework-id" in words
    assert "km framework reset" in words


def test_only_a_reset_allows_a_new_framework_id_while_pods_are_bound(store: FolderStore) -> None:
    asyncio.run(loaded(store).subscribed("f-1"))
    with pytest.raises(Mismatched, match="is f-1, not f-2"):
        asyncio.run(reset_framework_id(store, "f-2"))
    assert loaded(store).value == "f-1"
    assert asyncio.run(reset_framework_id(store, "f-1")) == "f-1"
    framework_id = loaded(store)
    assert framework_id.value is None
    framework_id.require_if_bound(["default/a"])
    asyncio.run(framework_id.subscribed("f-2"))
    assert loaded(store).value == "f-2"
