"""The state folder: one holder, records whole or untouched, and every refusal with its file and its remedy."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kmsched.clients.store import FolderStore
from kmsched.errors import EXIT_CONFIG, ConfigRefused

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from kmsched.clients.store import FolderStore
store = FolderStore(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""

WRITE_ON = """
import asyncio, sys
from pathlib import Path
from kmsched.clients.store import FolderStore
async def main():
    store = FolderStore(Path(sys.argv[1]))
    record = await store.get("term")
    revision = record.revision if record else 0
    print("writing", flush=True)
    while True:
        revision = (await store.put("term", str(revision + 1) * 500, revision)).revision
asyncio.run(main())
"""


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    store.close()


def test_a_second_process_is_refused_with_the_pid_of_the_first_and_admitted_after_its_death(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigRefused) as refusal:
            FolderStore(tmp_path)
        assert refusal.value.exit_code == EXIT_CONFIG
        assert str(tmp_path) in str(refusal.value)
        assert f"pid {holder.pid}" in str(refusal.value)
        holder.send_signal(signal.SIGKILL)
    FolderStore(tmp_path).close()


def test_a_copy_of_the_lock_that_a_child_has_until_it_runs_its_program_keeps_nobody_out(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    copy = os.dup(store.lock_fd)
    store.close()
    threading.Timer(0.02, os.close, [copy]).start()
    FolderStore(tmp_path).close()


def test_a_writer_killed_at_any_moment_leaves_a_whole_record(tmp_path: Path) -> None:
    last = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_ON, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
            while not (tmp_path / "term").exists():
                os.sched_yield()
            writer.send_signal(signal.SIGKILL)
        store = FolderStore(tmp_path)
        record = asyncio.run(store.get("term"))
        store.close()
        assert record is not None
        assert record.value == str(record.revision) * 500
        assert record.revision >= last
        last = record.revision


def test_a_draft_that_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".term.new").write_bytes(b'{"schema":1,"rev')
    store = FolderStore(tmp_path)
    assert asyncio.run(store.get("term")) is None
    assert asyncio.run(store.create("term", "1")).value == "1"
    store.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no record"),
        (b"\x00\xff\xfe garbage", "no record"),
        (b'{"schema":1,"revision":1,"val', "no record"),
        (b'{"schema":1,"revision":1,"value":"\xff"}', "no record"),
        (b'{"schema":1,"revision":1,"value":"x","more":2}', "no record"),
        (b'{"schema":1,"revision":0,"value":"x"}', "revision 0 is below 1"),
        (b'{"schema":1,"revision":"1","value":"x"}', "no record"),
        (b'{"schema":2,"revision":1,"value":"x"}', "schema 2, and this version reads schema 1"),
        (b"[" * 100_000, "no record"),
        (b" " * ((1 << 20) + 1), "longer than"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_left_as_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "framework-id"
    path.write_bytes(content)
    store = FolderStore(tmp_path)
    with pytest.raises(ConfigRefused) as refusal:
        asyncio.run(store.get("framework-id"))
    with pytest.raises(ConfigRefused):
        asyncio.run(store.create("framework-id", "new"))
    store.close()
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "restore it from a backup" in str(refusal.value)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigRefused, match=r"--state-dir .*file: cannot be used"):
        FolderStore(file)
    with pytest.raises(ConfigRefused, match="cannot be used"):
        FolderStore(file / "below")
    (tmp_path / "folder" / "lock").mkdir(parents=True)
    with pytest.raises(ConfigRefused, match="lock"):
        FolderStore(tmp_path / "folder")


def test_a_record_that_cannot_be_written_is_refused_with_the_value_that_would_be_lost(tmp_path: Path) -> None:
    (tmp_path / ".framework-id.new").mkdir()
    store = FolderStore(tmp_path)
    with pytest.raises(ConfigRefused, match="'abc-0001' is not stored"):
        asyncio.run(store.create("framework-id", "abc-0001"))
    store.close()


@pytest.mark.parametrize("key", ["", "lock", "../x", ".term.new", "a/b/c", "a/", "/a", "a/.b", "../a"])
def test_only_plain_keys_are_taken(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(ValueError, match="is no key"):
        asyncio.run(store.get(key))
    store.close()


def test_a_folder_of_keys_is_private_and_drafts_in_it_are_no_records(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    asyncio.run(store.create("executors/ab12", "spec"))
    (tmp_path / "executors" / ".cd34.new").write_bytes(b"{")
    assert (tmp_path / "executors").stat().st_mode & 0o077 == 0
    assert asyncio.run(store.list("")) == ("executors/ab12",)
    store.close()


def test_one_unreadable_record_does_not_hide_the_others(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    asyncio.run(store.create("executors/ab12", "spec"))
    (tmp_path / "executors" / "cd34").write_bytes(b"{")
    assert asyncio.run(store.list("executors/")) == ("executors/ab12", "executors/cd34")
    with pytest.raises(ConfigRefused, match=r"executors/cd34: cannot be read"):
        asyncio.run(store.get("executors/cd34"))
    store.close()


def test_a_lock_has_a_name_that_no_other_has(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "a", "b"):
        store = FolderStore(tmp_path / folder)
        names.append(store.lock_id)
        store.close()
    assert names[0] == names[1] != names[2]
    assert names[0].startswith(Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def test_what_root_writes_belongs_to_the_scheduler(tmp_path: Path) -> None:
    """km framework adopt and reset are run as root; the scheduler's user must read what they leave."""
    folder = tmp_path / "state"
    folder.mkdir()
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(folder, owner, -1)
    store = FolderStore(folder)
    asyncio.run(store.create("framework-id", "f-1"))
    store.close()
    found = {path.name: path.stat().st_uid for path in folder.rglob("*")}
    assert found == dict.fromkeys(("lock", "framework-id"), owner)


@pytest.mark.parametrize("name", ["lock", ".framework-id.new"])
def test_a_link_in_the_folder_leads_nobody_to_other_files(tmp_path: Path, name: str) -> None:
    """The scheduler's user could have root write over any file."""
    other, folder = tmp_path / "shadow", tmp_path / "state"
    other.write_text("root:*:")
    folder.mkdir()
    (folder / name).symlink_to(other)
    with pytest.raises(ConfigRefused, match="symbolic links"):
        asyncio.run(FolderStore(folder).create("framework-id", "f-1"))
    assert other.read_text() == "root:*:"
