"""bin/km as `hadoop`, beside Hadoop's own client on a real HDFS: the same bytes and exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from testbed import hdfs, hdfs_presence, lifecycle, processes
from testbed.hdfs import Hdfs
from testbed.settings import from_environment
from tests.scenarios import product
from tests.scenarios.hadoop_cases import ALICE, CHANGES, LOCAL, MINE, READS, ROOT, SCRATCH, TREE

COMMAND_S = 60
BIG_BYTES = (64 << 20) + 4321  # more than one block
FETCHER = product.ROOT / "testbed/files/mesos/mesos-fetcher.py"
DATES = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d")


@dataclass(frozen=True)
class Client:
    """One of the two: `hadoop` in a folder of its own, and what only it may change."""

    name: str
    storage: Hdfs
    program: Path
    local: Path
    scratch: Path

    def environ(self, user: str) -> dict[str, str]:
        return {
            # ours must be found before Hadoop's, as on an agent that has no other
            "PATH": f"{self.program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HADOOP_CONF_DIR": str(self.storage.layout.client),
            "HADOOP_USER_NAME": user,
            "KM_CACHE": str(self.program.parent / "cache"),
            # else Java prints question marks
            "LC_ALL": "C.UTF-8",
        }

    def run(self, user: str, words: str, **environ: str) -> tuple[int, bytes, bytes]:
        """Exit code and both outputs, without what must differ: the own folder, and when it was made."""
        mine = f"/compared/{self.name}"
        for stands_for, meant in ((LOCAL, self.local), (MINE, mine), (SCRATCH, self.scratch)):
            words = words.replace(stands_for, str(meant))
        return_code, out, err = self.call([self.program, "fs", *words.split()], {**self.environ(user), **environ})
        for meant in (mine, str(self.scratch)):
            out, err = (text.replace(meant.encode(), b"OWN") for text in (out, err))
        return return_code, out, err

    def call(self, command: Sequence[str | Path], environ: dict[str, str]) -> tuple[int, bytes, bytes]:
        entered = [*hdfs.entered(self.storage.settings), *command]
        done = subprocess.run(entered, env=environ, check=False, capture_output=True, timeout=COMMAND_S)
        return done.returncode, done.stdout, done.stderr

    def left(self) -> list[tuple[str, str]]:
        """Files on this host: name and SHA-256."""
        found = sorted(path for path in self.scratch.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.scratch)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in found]


@pytest.fixture(scope="module")
def storage() -> Iterator[Hdfs]:
    settings = from_environment(os.environ)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        found = lifecycle.up_hdfs(settings)
    yield found
    found.up()


@pytest.fixture(scope="module")
def clients(storage: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, Client]:
    """Hadoop's and ours; ours has made the tree."""
    base = tmp_path_factory.mktemp("hadoop")
    local = base / "local"
    local.mkdir()
    for name, content in (("five", b"five\n"), ("empty", b""), ("big", Random(7).randbytes(BIG_BYTES))):
        (local / name).write_bytes(content)
    made = []
    for name in ("theirs", "ours"):
        folder, scratch = base / name, base / f"scratch-{name}"
        folder.mkdir()
        scratch.mkdir()
        made.append(Client(name, storage, folder / "hadoop", local, scratch))
    theirs, ours = made
    hdfs_presence.make_launchers(storage, theirs.program.parent)
    ours.program.symlink_to(product.KM)
    for words in (
        "-rm -r -f /compared",
        f"-mkdir -p {TREE}/sub /compared/ours /compared/theirs",
        f"-D fs.permissions.umask-mode=077 -mkdir {TREE}/private",
        f"-put LOCAL/five LOCAL/empty LOCAL/big {TREE}",
        f"-put LOCAL/five {TREE}/sub/ä",
        f"-put LOCAL/five {TREE}/private/x",
    ):
        assert ours.run(ROOT, words) == (0, b"", b"") or words.startswith("-rm"), words
    return theirs, ours


def both(clients: tuple[Client, Client], user: str, words: str, **environ: str) -> list[tuple[int, bytes, bytes]]:
    """At the same time: most of it is Java's start."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda client: client.run(user, words, **environ), clients))


@pytest.mark.parametrize(("user", "words"), READS)
def test_reads(clients: tuple[Client, Client], user: str, words: str) -> None:
    theirs, ours = both(clients, user, words)
    assert ours == theirs


def test_changes_and_what_they_leave(clients: tuple[Client, Client]) -> None:
    theirs, ours = clients
    for user, words in CHANGES:
        told = [(code, DATES.sub(b"THEN", out), err) for code, out, err in both(clients, user, words)]
        assert told[1] == told[0], words
    assert ours.left() == theirs.left()
    assert dict(ours.left())["km"] == hashlib.sha256((ours.local / "big").read_bytes()).hexdigest()


def test_a_namenode_that_is_down(clients: tuple[Client, Client], tmp_path: Path) -> None:
    """The words differ, RPC from HTTP; the exit code and the form do not."""
    given = {"fs.defaultFS": "hdfs://127.0.0.1:1", "dfs.namenode.http-address": "127.0.0.1:1"}
    properties = "".join(f"<property name='{name}' value='{value}'/>" for name, value in given.items())
    (tmp_path / "core-site.xml").write_text(f"<configuration>{properties}</configuration>")
    for code, out, err in both(clients, ROOT, "-copyToLocal /x SCRATCH/x", HADOOP_CONF_DIR=str(tmp_path)):
        assert (code, out) == (1, b"")
        assert re.search(rb"^copyToLocal: .*Connection refused", err, re.MULTILINE), err
    assert not (clients[1].scratch / "x").exists()


def test_the_other_namenode_takes_over(clients: tuple[Client, Client], storage: Hdfs) -> None:
    """Ours is started while none is active, and waits."""
    _, ours = clients
    leader = storage.active()
    assert leader is not None
    (other,) = (part for part in storage.layout.of("namenode") if part != leader)
    storage.kill(leader)
    try:
        command = [*hdfs.entered(storage.settings), str(ours.program), "fs", "-cat", f"hdfs://lab{TREE}/five"]
        with subprocess.Popen(command, env=ours.environ(ALICE), stdout=subprocess.PIPE) as waiting:
            storage.activate(other)
            out, _ = waiting.communicate(timeout=COMMAND_S)
        assert (waiting.returncode, out) == (0, b"five\n")
        assert ours.run(ROOT, "-put -f LOCAL/five MINE/after") == (0, b"", b"")
    finally:
        storage.up()


def test_a_dead_datanode_is_passed_by(clients: tuple[Client, Client], storage: Hdfs) -> None:
    """The NameNode goes on naming it for some seconds."""
    _, ours = clients
    dead = storage.layout.of("datanode")[0]
    storage.kill(dead)
    try:
        assert ours.run(ROOT, f"-get -f {TREE}/big SCRATCH/again") == (0, b"", b"")
        assert ours.run(ROOT, "-put -f LOCAL/big MINE/again") == (0, b"", b"")
    finally:
        storage.start(dead)
    names = dict(ours.left())
    assert names["again"] == names["km"]


def test_mesos_fetcher_takes_it_for_hadoop(clients: tuple[Client, Client], tmp_path: Path) -> None:
    _, ours = clients
    item = {"uri": {"value": f"hdfs://lab{TREE}/big", "output_file": "km", "executable": True, "extract": False}}
    info = json.dumps({"sandbox_directory": str(tmp_path), "items": [{**item, "action": "BYPASS_CACHE"}]})
    code, _, err = ours.call([sys.executable, FETCHER], {**ours.environ(ROOT), "MESOS_FETCHER_INFO": info})
    assert code == 0, err
    assert (tmp_path / "km").read_bytes() == (ours.local / "big").read_bytes()
    assert os.access(tmp_path / "km", os.X_OK)
