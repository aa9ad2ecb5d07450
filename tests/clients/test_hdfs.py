"""HDFS over WebHDFS: addresses, and every refusal by its name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmsched.clients.datanodes import MAX_ASKS
from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.clients.hadoop_xml import Property
from kmsched.clients.hdfs import FAILOVER_WAIT_S, MAX_DATANODES, READ_CHUNK_BYTES, HdfsStorage
from kmsched.clients.hdfs_refusals import refusal
from kmsched.clients.hdfs_target import Target, addresses_of, target_of
from kmsched.errors import ArtifactError, NoPermission, NoSpace, SafeMode, StorageUnreachable, UsageError
from tests.clients.webhdfs import Cluster, Refused, closing, running


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


def nobody_listens() -> str:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{once.getsockname()[1]}"


def test_a_uri_keeps_its_authority() -> None:
    target = target_of("hdfs://nn.example:8020/km/")
    assert target == Target("nn.example:8020", "/km")
    assert target.uri("/km/x/km") == "hdfs://nn.example:8020/km/x/km"
    assert target_of("hdfs:///km").uri("/km/y") == "hdfs:///km/y"


@pytest.mark.parametrize(
    "uri", ["/km", "http://h/km", "hdfs://h/a b", "hdfs://h/../x", "hdfs://h/x?y", "hdfs://u@h/x", "hdfs://h//x"]
)
def test_what_is_no_folder_of_hdfs_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="is not a folder like"):
        target_of(uri)


@pytest.mark.parametrize(
    ("uri", "namenodes", "expected"),
    [
        ("hdfs://nn/km", (), ("http://nn:9870",)),
        ("hdfs://nn:8020/km", (), ("http://nn:9870",)),
        ("hdfs://[::1]:8020/km", (), ("http://[::1]:9870",)),
        ("hdfs://lab/km", ("http://a:1/", "https://b:2"), ("http://a:1", "https://b:2")),
    ],
)
def test_addresses(uri: str, namenodes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert addresses_of(target_of(uri), namenodes, HadoopConf()) == expected


@pytest.mark.parametrize("url", ["nn:9870", "http://a;http://b", "http://a/b"])
def test_addresses_that_cannot_work_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--namenode"):
        addresses_of(target_of("hdfs://nn/km"), (url,), HadoopConf())


def test_addresses_of_hadoops_files() -> None:
    values = {"fs.defaultFS": "hdfs://lab", "dfs.nameservices": "lab", "dfs.ha.namenodes.lab": "a,b"}
    values |= {f"dfs.namenode.http-address.lab.{member}": f"{member}.example:50070" for member in "ab"}
    conf = HadoopConf({name: Property(name, value, False, Path("x")) for name, value in values.items()})
    assert addresses_of(target_of("hdfs:///km"), (), conf) == ("http://a.example:50070", "http://b.example:50070")


def test_files(cluster: Cluster) -> None:
    storage = HdfsStorage([cluster.url], user="alice")
    assert storage.length("/d/a") is None
    storage.make_folder("/d")
    storage.write("/d/a", [b"one", b"two"])
    assert storage.length("/d/a") == 6
    assert b"".join(storage.read("/d/a")) == b"onetwo"
    assert storage.rename("/d/a", "/d/b")
    assert storage.replace("/d/b", "/d/c")
    (entry,) = storage.entries("/d")
    assert (entry.name, entry.is_folder, entry.size_bytes, entry.owner) == ("c", False, 6, "alice")
    assert storage.look("/d/c") == replace(entry, name="")
    storage.touch("/d/c", 7)
    assert [entry.modified_ms for entry in storage.entries("/d")] == [7]
    storage.remove("/d")  # not empty
    storage.remove("/d/c")
    storage.remove("/d/c")
    storage.remove("/d")
    assert storage.entries("/d") == []
    assert (cluster.files, cluster.folders) == ({}, set())
    assert cluster.users == {"alice"}


def test_a_rename_onto_a_file_is_false(cluster: Cluster) -> None:
    cluster.files |= {"/d/a": b"a", "/d/b": b"b"}
    assert not HdfsStorage([cluster.url]).rename("/d/a", "/d/b")
    assert cluster.files["/d/b"] == b"b"


def test_a_folder_is_no_file(cluster: Cluster) -> None:
    cluster.folders.add("/d")
    with pytest.raises(ArtifactError, match="/d is a directory"):
        HdfsStorage([cluster.url]).length("/d")


def test_a_token_is_the_credential(cluster: Cluster) -> None:
    HdfsStorage([cluster.url], token="secret").length("/x")
    assert cluster.users == {"token secret"}


def test_the_next_namenode_is_tried(cluster: Cluster) -> None:
    cluster.files["/a"] = b"a"
    assert HdfsStorage([nobody_listens(), cluster.url]).length("/a") == 1


def test_unreachable_names_the_address_and_no_token() -> None:
    address = nobody_listens()
    with pytest.raises(StorageUnreachable, match="Connection refused") as caught:
        HdfsStorage([address], token="secret").length("/a")
    assert address in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AccessControlException", NoPermission),
        ("DSQuotaExceededException", NoSpace),
        ("NSQuotaExceededException", NoSpace),
        ("SafeModeException", SafeMode),
        ("StandbyException", StorageUnreachable),
        ("EOFException", StorageUnreachable),
        ("IllegalArgumentException", ArtifactError),
    ],
)
def test_the_name_of_the_exception_decides(cluster: Cluster, name: str, kind: type[ArtifactError]) -> None:
    def refuse(operation: str, path: str) -> None:
        if operation == "CREATE-DATA":
            raise Refused(name, "first line\n\tat java.Stack")

    cluster.before = refuse
    with pytest.raises(ArtifactError, match=f"does not write /a: {name}: first line") as caught:
        HdfsStorage([cluster.url]).write("/a", [b"x"])
    assert type(caught.value) is kind
    assert "java" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("IOException", "File /a could only be written to 0 of the 1 minReplication nodes.", NoSpace),
        ("IOException", "Failed to find datanode, suggest to check cluster health", StorageUnreachable),
        ("IOException", "anything else", ArtifactError),
        (None, "Authentication failure. Check your credentials.", NoPermission),
        (None, "", ArtifactError),
    ],
)
def test_texts_where_the_name_says_nothing(name: str | None, text: str, kind: type[ArtifactError]) -> None:
    assert type(refusal(name, text, "HDFS does not read /a")) is kind


class Waiting:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def two_addresses(cluster: Cluster, waiting: Waiting) -> HdfsStorage:
    urls = [cluster.url, cluster.url.replace("127.0.0.1", "localhost")]
    return HdfsStorage(urls, monotonic=lambda: waiting.now_s, sleep=waiting.sleep)


def test_calls_wait_for_a_namenode_to_become_active(cluster: Cluster) -> None:
    waiting = Waiting()
    cluster.keep("/a", b"a")

    def standby(operation: str, path: str) -> None:
        if waiting.now_s < 5:
            raise Refused("StandbyException")

    cluster.before = standby
    assert two_addresses(cluster, waiting).length("/a") == 1
    assert waiting.now_s == 5
    waiting.now_s = 0
    assert b"".join(two_addresses(cluster, waiting).read("/a")) == b"a"


def standby_forever(operation: str, path: str) -> None:
    raise Refused("StandbyException")


def test_the_wait_ends(cluster: Cluster) -> None:
    cluster.before, waiting = standby_forever, Waiting()
    with pytest.raises(StorageUnreachable, match="StandbyException"):
        two_addresses(cluster, waiting).length("/a")
    assert waiting.now_s == FAILOVER_WAIT_S


def test_one_namenode_is_not_waited_for_however_often_it_is_named(cluster: Cluster) -> None:
    cluster.before, waiting = standby_forever, Waiting()
    with pytest.raises(StorageUnreachable, match="StandbyException"):
        HdfsStorage([cluster.url] * 2, monotonic=lambda: waiting.now_s, sleep=waiting.sleep).length("/a")
    assert waiting.now_s == 0


LONG = b"x" * READ_CHUNK_BYTES + b"onetwo"
#: ends in the second piece
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LONG) + LONG[:-3]


def test_a_read_goes_on_elsewhere_where_it_broke(cluster: Cluster) -> None:
    cluster.keep("/a", LONG)
    with closing(1, CUT) as (dead, _):
        cluster.datanodes = [dead] * 3
        assert b"".join(HdfsStorage([cluster.url]).read("/a")) == LONG
    asked = [query for query in cluster.queries if query["op"] == "OPEN"]
    assert [query["offset"] for query in asked] == ["0", *[str(READ_CHUNK_BYTES)] * 4]
    assert {query.get("excludedatanodes") for query in asked[1:]} == {"127.0.0.1"}


def test_a_read_of_a_file_that_was_replaced_in_between(cluster: Cluster) -> None:
    cluster.keep("/a", LONG)
    with closing(1, CUT) as (dead, _):
        cluster.datanodes = [dead]
        pieces = HdfsStorage([cluster.url]).read("/a")
        assert next(pieces) == LONG[:READ_CHUNK_BYTES]
        cluster.keep("/a", b"another")
        with pytest.raises(ArtifactError, match="was written to while it was read"):
            next(pieces)


def test_a_read_ends_when_no_datanode_gives_it(cluster: Cluster) -> None:
    cluster.keep("/a", b"a")
    cluster.datanodes = [nobody_listens()] * (MAX_DATANODES * MAX_ASKS + 1)
    with pytest.raises(StorageUnreachable, match=r"cannot read /a.*Connection refused"):
        list(HdfsStorage([cluster.url]).read("/a"))


def test_a_datanode_that_failed_is_passed_by_from_then_on(cluster: Cluster) -> None:
    dead, storage = nobody_listens(), HdfsStorage([cluster.url])
    cluster.datanodes = [dead] * 3
    with pytest.raises(StorageUnreachable):
        storage.write("/a", [b"one"])
    cluster.datanodes = [dead] * 3
    storage.write("/a", [b"one"])
    assert cluster.files == {"/a": b"one"}


def test_where_no_other_is_left_the_bad_one_gets_another_chance(cluster: Cluster) -> None:
    def only_one(operation: str, path: str) -> None:
        if "excludedatanodes" in cluster.queries[-1]:
            raise Refused("IOException", "Failed to find datanode, suggest to check cluster health")

    cluster.before = only_one
    cluster.datanodes, storage = [nobody_listens()], HdfsStorage([cluster.url])
    with pytest.raises(StorageUnreachable):
        storage.write("/a", [b"one"])
    storage.write("/a", [b"one"])
    assert cluster.files == {"/a": b"one"}


def test_calls_do_not_wait_again_once_nobody_was_active_for_long(cluster: Cluster) -> None:
    cluster.before, waiting = standby_forever, Waiting()
    storage = two_addresses(cluster, waiting)
    for _ in range(3):
        with pytest.raises(StorageUnreachable, match="StandbyException"):
            storage.length("/a")
    assert waiting.now_s == FAILOVER_WAIT_S
    cluster.before = lambda operation, path: None
    assert storage.length("/a") is None
    cluster.before = standby_forever
    with pytest.raises(StorageUnreachable, match="StandbyException"):
        storage.length("/a")
    assert waiting.now_s == 2 * FAILOVER_WAIT_S


def test_an_answer_that_is_nested_without_end() -> None:
    body = b"[" * 200_000
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with closing(1, answer) as (address, _), pytest.raises(StorageUnreachable, match="does not answer as WebHDFS"):
        HdfsStorage([address], user="alice").length("/a")
