"""Digests of what agents run, with the store: read once, kept, and the first of two schedulers wins."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched import config, flags
from kmsched.artifacts import digests
from kmsched.clients.store import FolderStore, Record
from kmsched.config import SchedulerConfig
from kmsched.daemon.artifacts import MAX_TRIES, artifact_digests
from kmsched.errors import ConfigRefused, Conflict

SHA = "0123456789abcdef" * 4
FIRST = hashlib.sha256(b"first").hexdigest()


class Overtaken(FolderStore):
    """Somebody else writes first, `times` times."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.times = times

    async def put(self, key: str, value: str, revision: int) -> Record:
        if self.times:
            self.times -= 1
            theirs = digests.to_record({"hdfs:///km": SHA, "hdfs:///n": f"{self.times:064}"})
            await super().put(key, theirs, revision)
            raise Conflict("somebody else was first")
        return await super().put(key, value, revision)


def settings(*tokens: str) -> SchedulerConfig:
    needed = ("--mesos-master=m:1", "--api-servers=k:1", f"--kubelet-path=/{SHA}/kubelet", "--km-path=hdfs:///km")
    return config.build(flags.parse([*needed, *tokens], flags.SCHEDULER))


def read(uri: str) -> Iterator[bytes]:
    assert uri == "hdfs:///km"
    yield b"first"


def test_what_was_read_is_kept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    found = asyncio.run(artifact_digests(settings(), store, read))
    assert found == {"km-path": FIRST, "kubelet-path": SHA}
    record = asyncio.run(store.get(digests.KEY))
    assert record is not None
    assert digests.from_record(record.value) == {"hdfs:///km": FIRST}
    asyncio.run(artifact_digests(settings(), store, read))
    assert asyncio.run(store.get(digests.KEY)) == record


def test_the_first_of_two_schedulers_wins(tmp_path: Path) -> None:
    found = asyncio.run(artifact_digests(settings(), Overtaken(tmp_path, 1), read))
    assert found["km-path"] == SHA


def test_a_store_that_never_lets_us_write_ends_it(tmp_path: Path) -> None:
    class Busy(FolderStore):
        async def put(self, key: str, value: str, revision: int) -> Record:
            tries.append(key)
            raise Conflict("somebody else was first")

    tries: list[str] = []
    with pytest.raises(Conflict):
        asyncio.run(artifact_digests(settings(), Busy(tmp_path), read))
    assert len(tries) == MAX_TRIES


def test_a_broken_record_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    asyncio.run(store.create(digests.KEY, "garbage"))
    with pytest.raises(ConfigRefused, match="restore the record 'artifacts' of the store from a backup, or remove it"):
        asyncio.run(artifact_digests(settings(), store, read))
