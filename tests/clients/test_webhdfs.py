"""WebHDFS with the standard library: failover, resuming, and what is given up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from kmsched.clients.datanodes import MAX_ASKS
from kmsched.clients.webhdfs import MAX_DATANODES, WebHdfs
from kmsched.clients.webhdfs_answers import HdfsRefusal, NotThere
from kmsched.errors import ArtifactError, StorageUnreachable
from tests.clients.webhdfs import CUT, Cluster, Refused, closing, running


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as once:
        return f"http://127.0.0.1:{once.getsockname()[1]}"


def hdfs(*addresses: str, pauses: int = 0) -> tuple[WebHdfs, list[float]]:
    slept: list[float] = []
    return WebHdfs(addresses, user="alice", pauses_s=[0.25] * pauses, sleep=slept.append), slept


def read(client: WebHdfs, path: str) -> bytes:
    return b"".join(client.read(path, client.status(path)))


@pytest.mark.parametrize("path", ["/a", "/a b", "/ä#?%&+;x", "/x=1", "/\udcff"])
def test_any_name(cluster: Cluster, path: str) -> None:
    client, _ = hdfs(cluster.url)
    client.write(path + ".tmp", [b"one", b"two"], overwrite=True)
    client.rename(path + ".tmp", path, overwrite=False)
    assert read(client, path) == b"onetwo"
    assert len(client.listing("/")) == 1
    assert client.remove(path)
    assert not client.remove(path)


def test_what_a_status_has(cluster: Cluster) -> None:
    cluster.files["/d/a"] = b"x"
    client, _ = hdfs(cluster.url)
    [found] = client.listing("/d")
    assert (found.name, found.is_folder, found.length, found.owner, found.permission) == ("a", False, 1, "alice", 0o644)
    assert client.status("/d").is_folder
    assert client.summary("/d")["spaceConsumed"] == 3
    assert client.home() == "/user/alice"
    assert (client.may("/d", "r--"), client.may("/d", "-w-")) == (True, False)
    with pytest.raises(NotThere, match="File does not exist: /none"):
        client.status("/none")


def test_a_rename_replaces_only_when_told(cluster: Cluster) -> None:
    cluster.files |= {"/a": b"a", "/b": b"b"}
    client, _ = hdfs(cluster.url)
    with pytest.raises(HdfsRefusal, match="already exists"):
        client.rename("/a", "/b", overwrite=False)
    client.rename("/a", "/b", overwrite=True)
    assert cluster.files == {"/b": b"a"}


def test_the_active_namenode_is_found_and_kept(cluster: Cluster) -> None:
    cluster.files["/a"] = b"a"
    with running() as standby:

        def refuse(operation: str, path: str) -> None:
            raise Refused("StandbyException")

        standby.before = refuse
        client, slept = hdfs(nobody(), standby.url, cluster.url)
        assert read(client, "/a") == b"a"
        assert len(standby.calls) == 1
    assert slept == []


def test_a_failover_is_waited_for(cluster: Cluster) -> None:
    cluster.files["/a"] = b"a"
    standby = iter([True, True, False])

    def refuse(operation: str, path: str) -> None:
        if operation == "GETFILESTATUS" and next(standby):
            raise Refused("StandbyException", "Operation category READ is not supported in state standby")

    cluster.before = refuse
    client, slept = hdfs(cluster.url, pauses=5)
    assert client.status("/a").length == 1
    assert slept == [0.25, 0.25]


def test_nobody_answers() -> None:
    address = nobody()
    client, slept = hdfs(address, pauses=2)
    with pytest.raises(StorageUnreachable, match=f"{address}: Connection refused"):
        client.status("/a")
    assert slept == [0.25, 0.25]


def test_what_must_not_happen_twice_is_not_sent_twice(cluster: Cluster) -> None:
    with closing(2) as (address, _):
        client, slept = hdfs(address, cluster.url, pauses=2)
        with pytest.raises(StorageUnreachable, match="whether it was done is not known"):
            client.remove("/a")
        cluster.files["/a"] = b"a"
        assert client.status("/a").length == 1
    assert slept == []


def test_a_read_goes_on_elsewhere_where_it_broke(cluster: Cluster) -> None:
    cluster.files["/a"] = b"onetwo"
    with closing(1, CUT) as (dead, asked):
        cluster.datanodes = [dead]
        client, _ = hdfs(cluster.url)
        assert read(client, "/a") == b"onetwo"
    assert b"offset=0" in asked[0]
    assert cluster.queries[-1]["offset"] == "4"
    assert cluster.queries[-1]["excludedatanodes"] == "127.0.0.1"


def test_a_read_of_a_file_that_was_replaced_in_between(cluster: Cluster) -> None:
    cluster.files["/a"] = b"onetwo"
    with closing(1, CUT) as (dead, _):
        cluster.datanodes = [dead]
        client, _ = hdfs(cluster.url)
        pieces = client.read("/a", client.status("/a"))
        assert next(pieces) == b"onet"
        cluster.files["/a"] = b"another"
        with pytest.raises(ArtifactError, match="was written to while it was read"):
            next(pieces)


def test_no_datanode_is_there(cluster: Cluster) -> None:
    cluster.files["/a"] = b"a"
    cluster.datanodes = [nobody()] * (3 * MAX_DATANODES * MAX_ASKS)
    client, slept = hdfs(cluster.url, pauses=1)
    with pytest.raises(StorageUnreachable, match="/a cannot be read: Connection refused"):
        read(client, "/a")
    assert len(slept) == MAX_DATANODES
    with pytest.raises(StorageUnreachable, match=r"no DataNode takes /b: .*Connection refused"):
        client.write("/b", [b"b"], overwrite=False)


def test_a_namenode_that_names_the_bad_one_again_is_asked_again(cluster: Cluster) -> None:
    """As it does where the exclusion names another DataNode of the same address."""
    cluster.files["/a"] = b"onetwo"
    with closing(1, CUT) as (dead, asked):
        cluster.datanodes = [dead] * 4
        assert read(hdfs(cluster.url)[0], "/a") == b"onetwo"
    assert len(asked) == 1


def test_where_no_other_is_left_the_bad_one_gets_another_chance(cluster: Cluster) -> None:
    cluster.files["/a"] = b"onetwo"

    def only_one(operation: str, path: str) -> None:
        if "excludedatanodes" in cluster.queries[-1]:
            raise Refused("IOException", "No active nodes contain this block")

    cluster.before = only_one
    with closing(1, CUT) as (dead, _):
        cluster.datanodes = [dead]
        assert read(hdfs(cluster.url)[0], "/a") == b"onetwo"


def test_a_write_goes_to_another_datanode(cluster: Cluster) -> None:
    cluster.datanodes = [nobody()]
    hdfs(cluster.url)[0].write("/b", [b"b"], overwrite=False)
    assert cluster.files == {"/b": b"b"}


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", StorageUnreachable, "is not written: .*RemoteDisconnected"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", HdfsRefusal, "403 Forbidden"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", StorageUnreachable, "500 No"),
    ],
)
def test_a_write_that_a_datanode_ends(
    cluster: Cluster, answer: bytes, error: type[ArtifactError], message: str
) -> None:
    with closing(1, answer) as (dead, _):
        cluster.datanodes = [dead]
        with pytest.raises(error, match=message):
            hdfs(cluster.url)[0].write("/b", [b"b"], overwrite=False)


def ok(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def refusing(body: str) -> bytes:
    return f"HTTP/1.1 400 No\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def a_file(more: str) -> str:
    return f'{{"FileStatus":{{"type":"FILE","pathSuffix":"",{more}}}}}'


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml", StorageUnreachable, "does not answer as WebHDFS"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", StorageUnreachable, "the answer has no FileStatus"),
        (b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", HdfsRefusal, "401 Who"),
        (ok("[" * 200_000), StorageUnreachable, "does not answer as WebHDFS"),
        (refusing("[" * 200_000), HdfsRefusal, "400 No"),
        (ok(a_file('"length":"x"')), StorageUnreachable, "does not come from WebHDFS: invalid literal"),
        (ok(a_file('"length":null')), StorageUnreachable, "does not come from WebHDFS: int"),
        (ok(a_file('"length":1e999')), StorageUnreachable, "does not come from WebHDFS: cannot convert"),
        (ok(a_file('"length":1,"permission":"999"')), StorageUnreachable, "does not come from WebHDFS: invalid"),
    ],
)
def test_what_is_no_namenode(answer: bytes, error: type[ArtifactError], message: str) -> None:
    with closing(1, answer) as (address, _), pytest.raises(error, match=message):
        hdfs(address)[0].status("/a")


def test_an_address_that_is_none() -> None:
    with pytest.raises(StorageUnreachable, match="'ftp://nn' is not an HTTP address"):
        hdfs("ftp://nn")[0].status("/a")


@pytest.mark.parametrize("location", ["http://127.0.0.1:99999/x", "http://[::1/x", "http:///x", "ä"])
def test_a_datanode_that_cannot_be_asked(cluster: Cluster, location: str) -> None:
    cluster.keep("/a", b"a")
    cluster.datanodes = [location.replace("ä", f"{cluster.url}/ä")] * 2
    client, _ = hdfs(cluster.url)
    with pytest.raises(StorageUnreachable):
        read(client, "/a")
    with pytest.raises(StorageUnreachable):
        client.write("/b", [b"b"], overwrite=True)


@pytest.mark.parametrize("names", [[".."], ["."], ["a", ""], ["a/../../b"], ["a\0"]])
def test_a_listing_with_names_that_are_none(names: list[str]) -> None:
    told = [{"type": "FILE", "length": 0, "pathSuffix": name} for name in names]
    answer = ok(json.dumps({"FileStatuses": {"FileStatus": told}}))
    with closing(1, answer) as (address, _), pytest.raises(ArtifactError, match="lists a file of the name"):
        hdfs(address)[0].listing("/")


@pytest.mark.parametrize("told", ["null", "{}", "[1]", '[{"pathSuffix":""}]'])
def test_a_listing_that_is_none(told: str) -> None:
    answer = ok(f'{{"FileStatuses":{{"FileStatus":{told}}}}}')
    with closing(1, answer) as (address, _), pytest.raises(StorageUnreachable, match="does not come from WebHDFS"):
        hdfs(address)[0].listing("/")


def test_a_folder_does_not_list_itself() -> None:
    told = '{"FileStatuses":{"FileStatus":[{"type":"DIRECTORY","length":0,"pathSuffix":""}]}}'
    with closing(1, ok(told)) as (address, _), pytest.raises(ArtifactError, match="of the name ''"):
        hdfs(address)[0].listing("/")
