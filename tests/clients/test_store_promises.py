"""What every `Store` promises, whatever keeps its records: each way of making one runs through the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from kmsched.clients.etcd import EtcdClient
from kmsched.clients.etcd_store import EtcdStore
from kmsched.clients.store import FolderStore, Store
from kmsched.clock import SystemClock
from kmsched.errors import Conflict
from kmsched.wire.members import Keys
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way

SHA256 = "05" * 32
ENDPOINT = "http://etcd:2379"

#: opens the store of which the records lie under this path; opened twice one after the other, it is the same store
OpenStore = Callable[[Path], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def folder(path: Path) -> AsyncIterator[Store]:
    store = FolderStore(path)
    try:
        yield store
    finally:
        store.close()


#: by the path that stands for it
_modelled: dict[Path, EtcdModel] = {}


@asynccontextmanager
async def etcd(path: Path) -> AsyncIterator[Store]:
    clock = SystemClock()
    model = _modelled.setdefault(path, EtcdModel(clock))
    client = EtcdClient([ENDPOINT], EtcdWays(model, {ENDPOINT: Way()}), clock, call_deadline_s=5.0)
    yield EtcdStore(client, Keys("Kubernetes"), lambda: None, clock, Random(1))


#: another implementation is one more row
KINDS: dict[str, OpenStore] = {"folder": folder, "etcd": etcd}


@pytest.fixture(params=sorted(KINDS))
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    return KINDS[request.param]


def with_store(open_store: OpenStore, path: Path, check: Callable[[Store], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with open_store(path) as store:
            await check(store)

    asyncio.run(scenario())


def test_a_record_is_created_once_and_put_only_over_the_revision_that_was_read(
    open_store: OpenStore, tmp_path: Path
) -> None:
    async def check(store: Store) -> None:
        assert await store.get("term") is None
        first = await store.create("term", "1")
        assert first.value == "1"
        with pytest.raises(Conflict):
            await store.create("term", "1")
        second = await store.put("term", "2", first.revision)
        assert second.revision > first.revision
        with pytest.raises(Conflict, match="read it again"):
            await store.put("term", "9", first.revision)
        with pytest.raises(Conflict):
            await store.put("other", "9", 7)
        assert await store.get("other") is None
        made = await store.put("other", "9", 0)
        assert await store.get("other") == made

    with_store(open_store, tmp_path, check)
    kept: list[str] = []

    async def look(store: Store) -> None:
        record = await store.get("term")
        assert record is not None
        kept.append(record.value)

    with_store(open_store, tmp_path, look)
    assert kept == ["2"]


def test_keys_lie_in_folders_and_are_listed_by_their_beginning(open_store: OpenStore, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        assert await store.list("") == ()
        for key in ("term", f"executors/{SHA256}", "executors/cd", "executors-else"):
            await store.create(key, key)
        assert await store.list("executors/") == (f"executors/{SHA256}", "executors/cd")
        assert await store.list("executors") == ("executors-else", f"executors/{SHA256}", "executors/cd")
        assert await store.list("") == ("executors-else", f"executors/{SHA256}", "executors/cd", "term")
        assert await store.list("nobody/") == ()
        record = await store.get(f"executors/{SHA256}")
        assert record is not None
        assert record.value == f"executors/{SHA256}"

    with_store(open_store, tmp_path, check)


def test_a_watch_tells_what_is_there_and_then_what_is_written(open_store: OpenStore, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        await store.create("executors/a", "1")
        await store.create("term", "1")
        async with aclosing(store.watch("executors/")) as watch:
            assert await anext(watch) == "executors/a"
            coming = asyncio.create_task(_next(watch))
            await asyncio.sleep(0)
            await store.put("term", "2", (await _revision(store, "term")))
            first = await store.create("executors/b", "1")
            assert await coming == "executors/b"
            second = await store.put("executors/b", "2", first.revision)
            await store.put("executors/b", "3", second.revision)
            await store.create("executors/c", "1")
            heard = [await anext(watch), await anext(watch)]
        # what was written twice meanwhile may be told once: the newest record counts
        assert heard[0] == "executors/b"
        assert heard[1] in ("executors/b", "executors/c")
        newest = await store.get("executors/b")
        assert newest is not None
        assert newest.value == "3"

    with_store(open_store, tmp_path, check)


def test_two_watches_do_not_take_from_each_other(open_store: OpenStore, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        async with aclosing(store.watch("executors/")) as one, aclosing(store.watch("")) as other:
            waiting = [asyncio.create_task(_next(each)) for each in (one, other)]
            await asyncio.sleep(0)
            await store.create("executors/a", "1")
            assert await asyncio.gather(*waiting) == ["executors/a", "executors/a"]

    with_store(open_store, tmp_path, check)


async def _next(watch: AsyncGenerator[str, None]) -> str:
    return await anext(watch)


async def _revision(store: Store, key: str) -> int:
    record = await store.get(key)
    return record.revision if record else 0
