"""Reading artifacts: every scheme, and every way in which one ends early."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.clients.fetch import read_uri
from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.clients.hadoop_xml import Property
from kmsched.errors import ArtifactError, LocalFileUnreadable, NoPermission, StorageUnreachable, UsageError
from tests.clients.webhdfs import Cluster, Refused, running

CONF = HadoopConf()


def content(uri: str, conf: HadoopConf = CONF) -> bytes:
    return b"".join(read_uri(uri, conf, user="alice"))


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives each connection the next of these bytes, then closes it."""

    def serve() -> None:
        for answer in answers:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def http(status: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode() + body


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


def lab(cluster: Cluster) -> HadoopConf:
    address = cluster.url.removeprefix("http://")
    given = {"fs.defaultFS": "hdfs://lab", "dfs.ha.namenodes.lab": "a", "dfs.namenode.http-address.lab.a": address}
    return HadoopConf({name: Property(name, value, False, Path("core-site.xml")) for name, value in given.items()})


@pytest.mark.parametrize("prefix", ["file://", "file:", "file://localhost", "FILE://"])
@pytest.mark.parametrize("fragment", ["", "#sha256=00"])
def test_files(tmp_path: Path, prefix: str, fragment: str) -> None:
    (tmp_path / "km").write_bytes(b"k" * (3 << 20))
    assert content(f"{prefix}{tmp_path}/km{fragment}") == b"k" * (3 << 20)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("none", "No such file"), ("pipe", "not a regular file"), ("", "Is a directory")):
        with pytest.raises(LocalFileUnreadable, match=message):
            content(f"file://{tmp_path}/{name}")


@pytest.mark.parametrize("uri", ["km", "/km", "ftp://h/km", "s3://b/km", "file://host/km", "file:km"])
def test_what_cannot_be_read_at_all(uri: str) -> None:
    with pytest.raises(UsageError, match=r"can be read|is not like"):
        content(uri)


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"km!", "Content-Length: 3"),
        http("200 OK", b"1\r\nk\r\n2\r\nm!\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        http("200 OK", b"km!"),
    ],
)
def test_http(answer: bytes) -> None:
    with answering(http("302 Found", b"", "Location: /there"), answer) as url:
        assert content(f"{url}/km#sha256=00") == b"km!"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (http("200 OK", b"km", "Content-Length: 3"), StorageUnreachable, "ended after 2 of 3 bytes"),
        (http("200 OK", b"9\r\nkm", "Transfer-Encoding: chunked"), StorageUnreachable, "IncompleteRead"),
        (http("404 Not Found", b""), ArtifactError, "404 Not Found"),
        (http("403 Forbidden", b""), NoPermission, "403 Forbidden"),
        (http("503 Busy", b""), StorageUnreachable, "503 Busy"),
        (http("302 Found", b"", "Location: file:///etc/passwd"), ArtifactError, "302"),
        (b"", StorageUnreachable, "RemoteDisconnected"),
        (b"SSH-2.0\r\n", StorageUnreachable, "BadStatusLine"),
        (http("302 Found", b"", "Location: http://[::1/x"), ArtifactError, "Invalid IPv6 URL; look at the URI"),
    ],
)
def test_http_that_fails(answer: bytes, kind: type[ArtifactError], message: str) -> None:
    with answering(answer) as url, pytest.raises(ArtifactError, match=message) as caught:
        content(f"{url}/km?token=secret")
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


def test_a_length_that_is_no_number() -> None:
    with answering(http("200 OK", b"km!", "Content-Length: \xb2")) as url:
        assert content(f"{url}/km") == b"km!"


def test_http_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(StorageUnreachable, match="Connection refused"):
        content(f"http://127.0.0.1:{port}/km")


@pytest.mark.parametrize("authority", ["", "lab"])
def test_hdfs(cluster: Cluster, authority: str) -> None:
    cluster.files["/km/km"] = b"km!"
    assert content(f"hdfs://{authority}/km/km#sha256=00", lab(cluster)) == b"km!"
    assert cluster.users == {"alice"}


def test_hdfs_without_the_file(cluster: Cluster) -> None:
    with pytest.raises(ArtifactError, match="hdfs:///km: there is no such file in HDFS at lab"):
        content("hdfs:///km", lab(cluster))


def test_hdfs_whose_file_is_replaced_in_between(cluster: Cluster) -> None:
    def cut(operation: str, path: str) -> None:
        if operation == "OPEN":
            cluster.files[path] = b"k"

    cluster.files["/km"], cluster.before = b"km!", cut
    with pytest.raises(ArtifactError, match="was written to while it was read"):
        content("hdfs:///km", lab(cluster))


def test_a_folder_of_hdfs(cluster: Cluster) -> None:
    cluster.folders.add("/km")
    with pytest.raises(ArtifactError, match="hdfs:///km is a folder"):
        content("hdfs:///km", lab(cluster))


def test_hdfs_that_refuses(cluster: Cluster) -> None:
    def refuse(operation: str, path: str) -> None:
        raise Refused("AccessControlException")

    cluster.files["/km"], cluster.before = b"km!", refuse
    with pytest.raises(NoPermission):
        content("hdfs:///km", lab(cluster))
