"""The small `hadoop` copies files both ways: never a part of one under its name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.small_hadoop import ABSENT, Client, small_tree
from tests.clients.webhdfs import Cluster, Refused


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with small_tree() as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster, tmp_path: Path) -> Client:
    (tmp_path / "conf").mkdir()
    return Client(tmp_path / "conf", cluster.url.removeprefix("http://"))


def test_get(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "a"
    assert client.fs("-copyToLocal", "hdfs:///d/a", str(target)) == 0
    assert target.read_bytes() == b"one\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask()
    assert client.fs("-copyToLocal", "/d/a", str(target)) == 1
    assert client.stderr == f"copyToLocal: `{target}': File exists\n"
    assert client.fs("-get", "-f", "/d/sub/c", f"file://{target}") == 0
    assert target.read_bytes() == b"three"


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_get_into_a_folder(client: Client, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    assert client.fs("-get", "/d/a", "/d/sub", str(into)) == 0
    assert {str(path.relative_to(into)) for path in into.rglob("*")} == {"a", "sub", "sub/c"}
    assert client.fs("-get", "/d/a", str(into / "none" / "a")) == 1
    assert client.stderr == f"get: `{into}/none/a': {ABSENT}: `file://{into}/none/a'\n"
    assert client.fs("-get", "/d/a", "/d/b", str(into / "a")) == 1
    assert client.stderr == f"get: `{into}/a': Is not a directory\n"


def test_get_leaves_nothing_when_it_fails(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    def refuse(operation: str, path: str) -> None:
        if operation == "OPEN":
            raise Refused("AccessControlException", "Permission denied: user=alice\n\tat java.Stack")

    cluster.before = refuse
    (tmp_path / "out").mkdir()
    assert client.fs("-get", "/d/a", str(tmp_path / "out")) == 1
    assert client.stderr == "get: Permission denied: user=alice\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_get_stays_below_its_target(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    cluster.keep("/d/sub/../evil", b"pwned")
    (tmp_path / "into").mkdir()
    assert client.fs("-copyToLocal", "/d/sub", str(tmp_path / "into" / "sub")) == 1
    assert "lists a file of the name '..'" in client.stderr
    assert list(tmp_path.rglob("evil")) == []


def test_put(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "km"
    source.write_bytes(b"km" * 600_000)
    assert client.fs("-put", str(source), "hdfs:///km") == 0
    assert cluster.files["/km"] == source.read_bytes()
    assert ("CREATE", "/km._COPYING_") in cluster.calls
    assert client.fs("-put", str(source), "hdfs:///km") == 1
    assert client.stderr == "put: `hdfs:///km': File exists\n"
    source.write_bytes(b"other")
    assert client.fs("-put", "-f", str(source), "hdfs:///km") == 0
    assert cluster.files["/km"] == b"other"
    assert not [name for name in cluster.files if "COPYING" in name]


def test_put_asks_for_hadoops_modes(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    client.stdin = b"in"
    assert client.fs("-D", "dfs.replication=2", "-D", "fs.permissions.umask-mode=077", "-put", "-", "/x") == 0
    asked = next(query for query in cluster.queries if query["op"] == "CREATE")
    assert (asked["permission"], asked["replication"]) == ("600", "2")
    assert cluster.files["/x"] == b"in"
    assert client.fs("-D", "fs.permissions.umask-mode=u=rwx", "-put", "-", "/y") == 1
    assert "'u=rwx' is not octal" in client.stderr


def test_put_of_folders(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(b"1")
    (source / "sub" / "b").write_bytes(b"2")
    os.mkfifo(source / "pipe")
    assert client.fs("-put", str(source), "/d") == 1
    assert client.stderr == f"put: `{source}/pipe': Is not a regular file\n"
    assert cluster.files["/d/tree/sub/b"] == b"2"
    assert client.fs("-put", str(tmp_path / "none"), "/d") == 1
    assert client.stderr == f"put: `{tmp_path}/none': {ABSENT}\n"
    assert client.fs("-put", str(source / "a"), "/none/a") == 1
    assert client.stderr == f"put: `/none/a': {ABSENT}: `hdfs://127.0.0.1/none/a'\n"
    assert client.fs("-put", str(source / "a"), str(source / "sub"), "/d/a") == 1
    assert client.stderr == "put: `/d/a': Is not a directory\n"
    assert client.fs("-put", "hdfs:///d/a", "/d") == 1
    assert client.stderr == "put: `hdfs:///d/a': Is not a local path\n"


def test_a_short_put_never_gets_the_name(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "km").write_bytes(b"km")
    cluster.kept_bytes = 1
    before = dict(cluster.files)
    assert client.fs("-put", "-f", str(tmp_path / "km"), "/d/a") == 1
    assert client.stderr == "put: `/d/a': 1 bytes stored, 2 bytes sent; try again\n"
    assert cluster.files == before


def test_a_put_that_finds_another_was_first(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    def be_first(operation: str, path: str) -> None:
        if operation == "RENAME":
            cluster.files["/km"] = b"first"

    (tmp_path / "km").write_bytes(b"km")
    cluster.before = be_first
    assert client.fs("-put", str(tmp_path / "km"), "/km") == 1
    assert client.stderr == "put: `/km': File exists\n"
    assert cluster.files["/km"] == b"first"
    assert "/km._COPYING_" not in cluster.files
