"""The manifest: its form, and that no change of it is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kmsched.artifacts import manifest
from kmsched.artifacts.manifest import MAX_ATTEMPTS, NEXT, STALE_LOOKS, Record, Surroundings
from kmsched.artifacts.storage import temporary
from kmsched.errors import ArtifactError, SafeMode
from tests.artifacts.memory import MemoryStorage

PATH = f"/art/{manifest.NAME}"


def record(number: int) -> Record:
    return Record("km", "0.1.0", f"{number:064x}", number, "2026-01-02T03:04:05Z", "alice")


def surroundings(sleep: Callable[[float], None] = lambda seconds: None) -> Surroundings:
    count = itertools.count()
    return Surroundings(lambda: f"{next(count):016x}", lambda: 0.5, sleep)


def test_its_form() -> None:
    raw = manifest.encode([record(1)])
    assert raw.startswith(b'{\n "schema": 1,\n "artifacts": [\n  {\n   "name": "km",\n   "version": "0.1.0",')
    assert manifest.decode(raw, PATH) == (record(1),)


def test_it_does_not_depend_on_the_order() -> None:
    assert manifest.encode([record(2), record(1)]) == manifest.encode([record(1), record(2)])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"x":' + b"[" * 200_000, "is no manifest"),
        (b"{", "is no manifest"),
        (b"\xff", "is no manifest"),
        (b'{"schema": 2}', "schema 2"),
        (b"[]", "is no manifest"),
    ],
)
def test_what_is_none(raw: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        manifest.decode(raw, PATH)


def test_added_once() -> None:
    storage = MemoryStorage()
    assert manifest.read(storage, "/art") == ()
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert manifest.change(storage, "/art", manifest.add(record(2)), surroundings())
    before = storage.files[PATH]
    later = Record("km", "", f"{1:064x}", 1, "2027-01-02T03:04:05Z", "bob")
    assert not manifest.change(storage, "/art", manifest.add(later), surroundings())
    assert storage.files == {PATH: before}
    assert manifest.read(storage, "/art") == (record(1), record(2))


def test_dropped() -> None:
    storage = MemoryStorage()
    storage.keep(PATH, manifest.encode([record(1), record(2)]))
    assert manifest.change(storage, "/art", manifest.drop([record(1).path]), surroundings())
    assert manifest.read(storage, "/art") == (record(2),)


@pytest.mark.parametrize("call", ["write", "rename", "replace", "look"])
def test_a_change_by_another_at_any_moment_is_not_lost(call: str) -> None:
    """Another one makes its whole change before one of our calls."""
    for nth in range(4):
        storage = MemoryStorage()
        storage.keep(PATH, manifest.encode([record(1)]))
        left = iter([None] * nth)

        def intrude(name: str, path: str, storage: MemoryStorage = storage, left: object = left) -> None:
            if name == call and NEXT not in {one.name for one in storage.files.values()}:
                assert isinstance(left, type(iter([])))
                if next(left, "now") == "now":
                    storage.before = lambda name, path: None
                    manifest.change(storage, "/art", manifest.add(record(3)), surroundings())

        storage.before = intrude
        manifest.change(storage, "/art", manifest.add(record(2)), surroundings())
        assert set(manifest.read(storage, "/art")) >= {record(1), record(2)}
        storage.before = lambda name, path: None
        manifest.change(storage, "/art", manifest.add(record(3)), surroundings())
        assert manifest.read(storage, "/art") == (record(1), record(2), record(3))


def test_many_at_once_lose_nothing() -> None:
    storage = MemoryStorage()
    with ThreadPoolExecutor(8) as pool:
        changes = [manifest.add(record(number)) for number in range(24)]
        tokens = [Surroundings(lambda n=number: f"{n:016x}", lambda: 0.0, lambda s: None) for number in range(24)]  # type: ignore[misc]
        list(pool.map(lambda each, around: manifest.change(storage, "/art", each, around), changes, tokens))
    assert manifest.read(storage, "/art") == tuple(record(number) for number in range(24))
    assert list(storage.files) == [PATH]


def test_the_draft_of_a_dead_uploader_goes_with_the_next_change() -> None:
    storage = MemoryStorage()
    draft = temporary("/art", manifest.NAME, "a" * 64, "0" * 16, replaces=True)
    storage.keep(draft, b"half")
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert draft not in storage.files
    storage.keep(draft, b"half")
    assert not manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert draft not in storage.files


@pytest.mark.parametrize("moment", ["look", "read", "rename"])
def test_a_draft_that_another_took_for_a_dead_ones_is_made_again(moment: str) -> None:
    storage = MemoryStorage()
    swept: list[str] = []

    def sweep(call: str, path: str) -> None:
        drafts = [each for each in storage.files if each.endswith(".new")]
        if call == moment and drafts and not swept:
            swept.extend(drafts)
            del storage.files[drafts[0]]

    storage.before = sweep
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert swept and [one.path for one in manifest.read(storage, "/art")] == [record(1).path]


def test_the_next_of_a_dead_uploader_is_removed_after_a_while() -> None:
    storage = MemoryStorage()
    storage.keep(f"/art/{NEXT}", b"half")
    pauses: list[float] = []
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings(pauses.append))
    assert len(pauses) == STALE_LOOKS + 1
    assert list(storage.files) == [PATH]


def test_one_that_was_taken_for_dead_does_not_take_anothers_for_its_own() -> None:
    storage = MemoryStorage()

    def stall(call: str, path: str) -> None:
        if call == "replace":
            storage.before = lambda call, path: None
            storage.keep(f"/art/{NEXT}", manifest.encode([record(2)]))

    storage.before = stall
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert manifest.read(storage, "/art") == (record(1), record(2))


def test_somebody_who_never_stops() -> None:
    storage = MemoryStorage()

    def busy(call: str, path: str) -> None:
        if call == "rename":
            storage.keep(f"/art/{NEXT}", b"another")

    storage.before = busy
    pauses: list[float] = []
    with pytest.raises(ArtifactError, match="others change it all the time"):
        manifest.change(storage, "/art", manifest.add(record(1)), surroundings(pauses.append))
    assert len(pauses) == MAX_ATTEMPTS
    assert list(storage.files) == [f"/art/{NEXT}"]


def test_a_storage_that_cannot_replace() -> None:
    storage = MemoryStorage()
    storage.can_replace = False
    assert manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    with pytest.raises(ArtifactError, match="HttpFS"):
        manifest.change(storage, "/art", manifest.add(record(2)), surroundings())
    assert list(storage.files) == [PATH]


@pytest.mark.parametrize("call", ["write", "rename", "replace"])
def test_a_failed_change_leaves_nothing_beside_it(call: str) -> None:
    storage = MemoryStorage()

    def refuse(name: str, path: str) -> None:
        if name == call:
            raise SafeMode("not now")

    storage.before = refuse
    with pytest.raises(SafeMode):
        manifest.change(storage, "/art", manifest.add(record(1)), surroundings())
    assert storage.files == {}
