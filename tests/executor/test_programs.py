"""Programs kept under their SHA-256: on real files, with real locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kmsched.errors import ArtifactError, ConfigRefused, NoSpace, StorageUnreachable, VerificationFailed
from kmsched.executor.programs import LOCK_NAME, YOUNG_S, Programs, Progress, is_right, mentioned

CONTENT = b"#!/bin/sh\necho right\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
URI = f"hdfs://ns1/km/{DIGEST}/kubelet"
HOUR_S = 3600.0


@dataclass
class Agent:
    """An agent's folder and what the server has; `fetched` counts."""

    folder: Path
    content: bytes | Exception = CONTENT
    fetched: int = 0
    now_s: float = 1e9
    kept_bytes: int = 100
    proc: Path = field(init=False)

    def __post_init__(self) -> None:
        self.proc = self.folder / "proc"
        self.proc.mkdir()

    def read(self, uri: str) -> Iterator[bytes]:
        self.fetched += 1
        if isinstance(self.content, Exception):
            yield CONTENT[:5]
            raise self.content
        yield self.content[:5]
        yield self.content[5:]

    @property
    def programs(self) -> Programs:
        return Programs(self.folder / "artifacts", self.read, lambda: self.now_s, self.proc, self.kept_bytes)

    def keep(self, uri: str = URI) -> Path:
        return self.programs.keep(uri, Progress())

    def put(self, content: bytes, age_s: float, name: str = "kubelet", is_ours: bool = True) -> Path:
        """A program that was used so long ago."""
        folder = self.folder / "artifacts" / hashlib.sha256(content).hexdigest()
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
        if is_ours:
            (folder / LOCK_NAME).touch()
            os.utime(folder / LOCK_NAME, (self.now_s - age_s, self.now_s - age_s))
        return folder

    def run(self, pid: int, *argv: str) -> None:
        process = self.proc / str(pid)
        process.mkdir()
        (process / "cmdline").write_bytes("\0".join(argv).encode())
        (process / "exe").symlink_to("/usr/bin/x")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_it_is_fetched_once_and_is_executable(agent: Agent) -> None:
    path = agent.keep()
    assert path == agent.folder / "artifacts" / DIGEST / "kubelet"
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o7777 == 0o755
    assert agent.keep() == agent.keep(f"http://h/other/kubelet#sha256={DIGEST}") == path
    assert agent.fetched == 1
    assert sorted(file.name for file in path.parent.iterdir()) == [LOCK_NAME, "kubelet"]


def spoil_content(path: Path) -> None:
    path.write_bytes(b"changed")


def spoil_length(path: Path) -> None:
    os.truncate(path, 3)


def let_all_write(path: Path) -> None:
    path.chmod(0o777)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("spoil", [spoil_content, spoil_length, let_all_write, link])
def test_what_is_not_right_any_more_is_fetched_again(agent: Agent, spoil: object) -> None:
    path = agent.keep()
    assert callable(spoil)
    spoil(path)
    assert agent.keep() == path
    assert (agent.fetched, path.read_bytes()) == (2, CONTENT)
    assert is_right(path, DIGEST)


def test_a_mode_that_runs_nothing_is_put_right(agent: Agent) -> None:
    path = agent.keep()
    path.chmod(0o600)
    assert agent.keep().stat().st_mode & 0o7777 == 0o755
    assert agent.fetched == 1


def test_another_file_is_refused_with_both_digests_and_leaves_nothing(agent: Agent) -> None:
    agent.content = b"another"
    found = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(VerificationFailed, match=rf"sha256 {found} fetched, {DIGEST} expected \(7 bytes\); publish"):
        agent.keep()
    assert [file.name for file in (agent.folder / "artifacts" / DIGEST).iterdir()] == [LOCK_NAME]


def test_a_fetch_that_breaks_leaves_nothing_and_what_a_killed_one_left_is_removed(agent: Agent) -> None:
    agent.content = StorageUnreachable("gone")
    with pytest.raises(StorageUnreachable, match="gone"):
        agent.keep()
    folder = agent.folder / "artifacts" / DIGEST
    assert [file.name for file in folder.iterdir()] == [LOCK_NAME]
    (folder / ".kubelet.part").write_text("half")
    agent.content = CONTENT
    agent.keep()
    assert sorted(file.name for file in folder.iterdir()) == [LOCK_NAME, "kubelet"]


def test_a_full_disk_and_a_folder_that_is_not_ours_are_told_with_the_remedy(agent: Agent) -> None:
    agent.content = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(NoSpace, match=f"{DIGEST}: No space left on device; make room on this agent"):
        agent.keep()
    (agent.folder / "artifacts" / DIGEST / LOCK_NAME).unlink()
    (agent.folder / "artifacts" / DIGEST).rmdir()
    (agent.folder / "artifacts").rmdir()
    (agent.folder / "artifacts").write_text("a file")
    with pytest.raises(ConfigRefused, match="must run as root and own"):
        agent.keep()


@pytest.mark.parametrize("uri", ["hdfs://ns1/kubelet", f"hdfs://ns1/#sha256={DIGEST}", f"http://h/{DIGEST}/.lock"])
def test_a_uri_without_digest_or_name_is_refused(agent: Agent, uri: str) -> None:
    with pytest.raises(ConfigRefused, match="does not name a file and its SHA-256"):
        agent.keep(uri)


def test_one_that_is_no_longer_wanted_ends_between_two_pieces(agent: Agent) -> None:
    progress = Progress()
    progress.is_unwanted.set()
    with pytest.raises(ArtifactError, match="no longer wanted"):
        agent.programs.keep(URI, progress)


def test_of_two_executors_one_fetches_and_the_other_waits_for_it(agent: Agent) -> None:
    folder = agent.folder / "artifacts" / DIGEST
    folder.mkdir(parents=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    progress = Progress()
    found: list[Path] = []
    waiting = threading.Thread(target=lambda: found.append(agent.programs.keep(URI, progress)))
    waiting.start()
    (folder / "kubelet").write_bytes(CONTENT)
    (folder / "kubelet").chmod(0o755)
    os.close(descriptor)
    waiting.join(20)
    assert (found, agent.fetched) == ([folder / "kubelet"], 0)


def test_a_lock_that_stays_taken_is_told_when_nobody_waits_any_more(agent: Agent) -> None:
    folder = agent.folder / "artifacts" / DIGEST
    folder.mkdir(parents=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    progress = Progress()
    progress.is_unwanted.set()
    with pytest.raises(ArtifactError, match="is held by another executor that fetches the same file"):
        agent.programs.keep(URI, progress)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("link", "it is a link"),
        ("mode", r"others than its owner may write to it \(mode 0775\)"),
    ],
)
def test_the_right_file_that_others_could_change_is_refused_for_that(agent: Agent, kind: str, words: str) -> None:
    path = agent.folder / "artifacts" / DIGEST / "kubelet"
    path.parent.mkdir(parents=True)
    there = agent.folder / "real" if kind == "link" else path
    there.write_bytes(CONTENT)
    there.chmod(0o775 if kind == "mode" else 0o755)
    if kind == "link":
        path.symlink_to(there)
    agent.content = CONTENT
    with pytest.raises(VerificationFailed, match=f"kubelet: {words}; put the right file there"):
        agent.keep(f"file://{path}")


def test_what_the_administrator_put_there_is_used_in_place_and_stays_theirs(agent: Agent) -> None:
    folder = agent.put(CONTENT, 0, is_ours=False)
    uri = f"file://{folder}/kubelet"
    assert agent.keep(uri) == folder / "kubelet"
    assert [file.name for file in folder.iterdir()] == ["kubelet"]
    (folder / "kubelet").write_bytes(b"wrong")
    agent.content = b"wrong"
    with pytest.raises(VerificationFailed, match=rf"kubelet: sha256 [0-9a-f]{{64}} is there, {DIGEST} expected"):
        agent.keep(uri)
    assert (folder / "kubelet").read_bytes() == b"wrong"


def test_above_the_bound_the_longest_unused_goes_first(agent: Agent) -> None:
    oldest = agent.put(b"a" * 60, YOUNG_S + 3 * HOUR_S)
    older = agent.put(b"b" * 60, YOUNG_S + 2 * HOUR_S)
    old = agent.put(b"c" * 40, YOUNG_S + HOUR_S)
    agent.keep()
    assert [folder.exists() for folder in (oldest, older, old)] == [False, True, True]


def test_nothing_goes_that_runs_is_young_is_held_or_is_not_ours(agent: Agent) -> None:
    running = agent.put(b"a" * 60, YOUNG_S + 9 * HOUR_S)
    held = agent.put(b"b" * 60, YOUNG_S + 8 * HOUR_S)
    theirs = agent.put(b"c" * 60, YOUNG_S + 7 * HOUR_S, "km", is_ours=False)
    unused = agent.put(b"d" * 60, YOUNG_S + 6 * HOUR_S)
    young = agent.put(b"e" * 60, HOUR_S)
    agent.run(7, f"{running}/kubelet", "--v=2")
    (agent.proc / "8").mkdir()
    (agent.proc / "self").mkdir()
    descriptor = os.open(held / LOCK_NAME, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    agent.keep()
    os.close(descriptor)
    assert [folder.exists() for folder in (running, held, theirs, unused, young)] == [True, True, True, False, True]


def test_a_folder_that_does_not_go_is_no_reason_to_fail(agent: Agent) -> None:
    stubborn = agent.put(b"a" * 200, YOUNG_S + HOUR_S)
    (stubborn / "folder").mkdir()
    assert agent.keep().exists()
    assert stubborn.exists()


def test_a_folder_that_cannot_be_looked_through_is_no_reason_to_fail(agent: Agent) -> None:
    agent.put(b"a" * 200, YOUNG_S + HOUR_S)
    agent.proc.rmdir()
    assert agent.keep().exists()


def test_this_machine_mentions_digests_of_what_runs(tmp_path: Path) -> None:
    assert all(len(digest) == 64 for digest in mentioned(Path("/proc")))
