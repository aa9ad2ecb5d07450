"""`km-upload`: what it prints, and its exit codes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.cli.km import run
from kmsched.cli.km_upload import km_upload
from kmsched.cli.progress import bar
from tests.clients.webhdfs import Cluster, Refused, running

CONTENT = b"#!/bin/km\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URI = f"hdfs://nn:8020/art/{SHA256}/km"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture
def km(tmp_path: Path) -> str:
    path = tmp_path / "km"
    path.write_bytes(CONTENT)
    return str(path)


def call(cluster: Cluster, *arguments: str) -> int:
    return run([*arguments, "hdfs://nn:8020/art", f"--namenode={cluster.url}"], km_upload, "km-upload")


def test_stdout_is_the_uri(cluster: Cluster, km: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(cluster, km, "--user=alice") == 0
    told = capsys.readouterr()
    assert told.out == f"{URI}\n"
    assert told.err.splitlines() == [
        "km: reading km: 10 bytes done",
        "km: sending km: 10 bytes done",
        "km: verifying km: 10 bytes done",
        f"km: {km}: 10 bytes, sent and verified",
    ]
    assert cluster.users == {"alice"}
    sent = cluster.sent()
    assert call(cluster, km) == 0
    assert cluster.sent() == sent
    assert "already there, verified, nothing sent" in capsys.readouterr().err


def test_json(cluster: Cluster, km: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kubelet").write_bytes(b"")
    cluster.files[f"/art/.km.{SHA256}.{'0' * 16}.tmp"] = b""
    assert call(cluster, km, str(tmp_path / "kubelet"), "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "file": km,
        "uri": URI,
        "sha256": SHA256,
        "size_bytes": 10,
        "sent": True,
        "removed": [f".km.{SHA256}.{'0' * 16}.tmp"],
        "exact": False,
        "in_manifest": True,
    }
    assert second["size_bytes"] == 0


def test_the_bar_stays_on_one_line_until_it_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    show = bar("km")
    show("sending", 1 << 20, 2 << 20)
    show("sending", 2 << 20, 2 << 20)
    half, full = "#" * 15 + "." * 15, "#" * 30
    assert capsys.readouterr().err == f"\r  sending km [{half}] 1/2 MiB\r  sending km [{full}] 2/2 MiB\n"


def test_a_token_file(cluster: Cluster, km: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert call(cluster, km, f"--token-file={tmp_path / 'token'}") == 0
    assert cluster.users == {"token secret"}
    (tmp_path / "token").write_text("")
    assert call(cluster, km, f"--token-file={tmp_path / 'token'}") == 10


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        ("IllegalArgumentException", 20),
        ("EOFException", 21),
        ("AccessControlException", 22),
        ("DSQuotaExceededException", 23),
        ("SafeModeException", 24),
    ],
)
def test_exit_codes(cluster: Cluster, km: str, exception: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(operation: str, path: str) -> None:
        if operation == "CREATE-DATA":
            raise Refused(exception)

    cluster.before = refuse
    assert call(cluster, km) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert exception in told.err
    assert cluster.files == {}


def test_exit_codes_of_the_rest(cluster: Cluster, km: str, tmp_path: Path) -> None:
    cluster.kept_bytes = 3
    assert call(cluster, km) == 25
    assert call(cluster, str(tmp_path / "nothing")) == 26
    assert run([km, "/art"], km_upload) == 2
    assert run([], km_upload) == 2


def test_the_manifest_tells_of_it(cluster: Cluster, km: str) -> None:
    assert call(cluster, km) == 0
    (record,) = json.loads(cluster.files["/art/manifest.json"])["artifacts"]
    assert (record.pop("time")[:2], record) == (
        "20",
        {"name": "km", "version": "", "sha256": SHA256, "size_bytes": 10, "uploader": "alice"},
    )


def test_a_manifest_that_cannot_be_changed_does_not_undo_an_upload(
    cluster: Cluster, km: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.can_replace = False
    cluster.keep("/art/manifest.json", b'{"schema": 1, "artifacts": []}')
    assert call(cluster, km, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["in_manifest"] is False
    assert "km: warning: km is published, but manifest.json does not tell so" in told.err
    assert sorted(cluster.files) == [f"/art/{SHA256}/km", "/art/manifest.json"]


def exactly(cluster: Cluster, uri: str, *arguments: str) -> int:
    return run([*arguments, "--exact", uri, f"--namenode={cluster.url}"], km_upload, "km-upload")


def test_exact_replaces_the_very_path_and_warns(cluster: Cluster, km: str, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.keep("/km", b"old")
    assert exactly(cluster, "hdfs:///km", km) == 0
    told = capsys.readouterr()
    assert told.out == "hdfs:///km\n"
    assert "km: warning: hdfs:///km is replaced in place" in told.err
    assert cluster.files.keys() == {"/km", "/manifest.json"}
    assert cluster.files["/km"] == CONTENT
    sent = cluster.sent()
    assert exactly(cluster, "hdfs:///km", km) == 0
    assert "nothing sent" in capsys.readouterr().err
    assert cluster.sent() == sent


def test_the_manifest_tells_of_the_newest_exact_one(cluster: Cluster, km: str, tmp_path: Path) -> None:
    assert exactly(cluster, "hdfs:///km", km) == 0
    Path(km).write_bytes(b"newer")
    assert exactly(cluster, "hdfs:///km", km, "--json") == 0
    (record,) = json.loads(cluster.files["/manifest.json"])["artifacts"]
    digest = hashlib.sha256(b"newer").hexdigest()
    assert (record["name"], record["sha256"], record["exact"]) == ("km", digest, True)


def test_exact_is_for_one_file(cluster: Cluster, km: str) -> None:
    assert exactly(cluster, "hdfs:///km", km, km) == 2
    assert exactly(cluster, "hdfs://nn/", km) == 2
    assert exactly(cluster, "hdfs://nn/d/manifest.json", km) == 2


def test_what_cannot_be_read_is_refused_before_anything_is_sent(cluster: Cluster, km: str, tmp_path: Path) -> None:
    assert call(cluster, km, f"--ca-file={tmp_path / 'none'}") == 10
    assert call(cluster, km, f"--token-file={tmp_path / 'none'}") == 10
    assert cluster.calls == []


def test_addresses_come_from_hadoops_files(
    cluster: Cluster, km: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    properties = {"fs.defaultFS": "hdfs://lab", "dfs.namenode.http-address": cluster.url.removeprefix("http://")}
    lines = [f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()]
    (tmp_path / "core-site.xml").write_text(f"<configuration>{''.join(lines)}</configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    assert run([km, "hdfs:///art"], km_upload, "km-upload") == 0
    assert capsys.readouterr().out == f"hdfs:///art/{SHA256}/km\n"
    assert f"/art/{SHA256}/km" in cluster.files
