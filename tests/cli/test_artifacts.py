"""`km artifacts`: what it prints, removes and refuses."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kmsched.artifacts import manifest
from kmsched.artifacts.manifest import Record
from kmsched.cli.artifacts import artifacts
from kmsched.cli.km import run
from tests.clients.webhdfs import Cluster, running

OLD, NEW = b"old", b"new!"
TOKEN = "0" * 16


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def path(content: bytes) -> str:
    return f"/art/{sha256(content)}/km"


def uri(content: bytes) -> str:
    return f"hdfs://nn{path(content)}"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        for content in (OLD, NEW):
            cluster.keep(path(content), content)
        yield cluster


def call(cluster: Cluster, command: str, *arguments: str) -> int:
    line = [command, "hdfs://nn/art", f"--namenode={cluster.url}", *arguments]
    return run(line, artifacts, "km artifacts")


def test_upload_is_km_upload(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "km").write_bytes(b"newest")
    line = ["upload", str(tmp_path / "km"), "hdfs://nn/art", f"--namenode={cluster.url}"]
    assert run(line, artifacts, "km artifacts") == 0
    assert capsys.readouterr().out == f"{uri(b'newest')}\n"


def test_list_tells_what_is_there_and_what_the_manifest_does_not(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.keep(f"/art/.km.{sha256(OLD)}.{TOKEN}.tmp", b"")
    assert call(cluster, "list") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"km - 4 1970-01-01T00:16:40Z alice {uri(NEW)}",
        f"km - 3 1970-01-01T00:16:40Z alice {uri(OLD)}",
    ]
    assert sorted(told.err.splitlines()) == sorted(
        [f"km: {sha256(content)}/km is not in the manifest" for content in (OLD, NEW)]
        + [f"km: /art/.km.{sha256(OLD)}.{TOKEN}.tmp is of an upload that runs, or died"]
    )
    assert call(cluster, "list", "--json") == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {
        "name": "km",
        "version": "",
        "sha256": sha256(NEW),
        "size_bytes": 4,
        "time": "1970-01-01T00:16:40Z",
        "uploader": "alice",
        "uri": uri(NEW),
    }


def test_a_terminal_gets_no_commands_from_who_may_write_a_manifest(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record("km", "\x1b]0;x\x07", sha256(OLD), 3, "2026-01-02T03:04:05Z", "\x1b[2J")
    cluster.keep(f"/art/{manifest.NAME}", manifest.encode([record]))
    assert call(cluster, "list") == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "\\x1b]0;x\\x07" in told.out


def test_a_folder_that_is_not_there(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("list", "verify"):
        assert run([command, "hdfs://nn/none", f"--namenode={cluster.url}"], artifacts) == 20
    assert run(["list", f"hdfs://nn{path(OLD)}", f"--namenode={cluster.url}"], artifacts) == 20
    assert capsys.readouterr().err.count("there is no such folder") == 3


def test_verify(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(cluster, "verify") == 0
    assert capsys.readouterr().out.splitlines() == [f"ok: {uri(NEW)}", f"ok: {uri(OLD)}"]
    cluster.files[path(OLD)] = b"odd"
    assert call(cluster, "verify", "--json") == 25
    told = capsys.readouterr()
    assert [(one["uri"], one["result"]) for one in json.loads(told.out)] == [(uri(NEW), "ok"), (uri(OLD), "WRONG")]
    assert json.loads(told.out)[1]["why"] == f"its content has the sha256 {sha256(b'odd')}"
    assert "remove what is wrong, then publish it again" in told.err


def test_verify_repairs_the_manifest(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"name": "km", "version": "1", "sha256": "f" * 64, "size_bytes": 1, "time": "", "uploader": ""}
    cluster.keep("/art/manifest.json", json.dumps({"schema": 1, "artifacts": [record]}).encode())
    assert call(cluster, "verify") == 25
    assert f"{'f' * 64}/km is in the manifest, and not there" in capsys.readouterr().err
    assert call(cluster, "verify", "--repair") == 0
    records = json.loads(cluster.files["/art/manifest.json"])["artifacts"]
    assert {one["sha256"] for one in records} == {sha256(OLD), sha256(NEW)}
    capsys.readouterr()
    assert call(cluster, "verify") == 0
    assert "manifest" not in capsys.readouterr().err


def test_a_manifest_that_is_none_is_told_and_decides_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.keep("/art/manifest.json", b"x")
    assert call(cluster, "list") == 0
    assert "km: /art/manifest.json is no manifest" in capsys.readouterr().err


def test_prune(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(cluster, "verify", "--repair") == 0
    cluster.folders.add(f"/art/{'e' * 64}")
    cluster.keep(f"/art/.km.{sha256(OLD)}.{TOKEN}.tmp", b"")
    capsys.readouterr()
    assert call(cluster, "prune", "--keep=1", "--no-specs", "--dry-run") == 0
    lines = [f"stays: {uri(NEW)} (number 1 of the 1 newest)", f"would be removed: {uri(OLD)}"]
    assert capsys.readouterr().out.splitlines() == lines
    assert path(OLD) in cluster.files
    assert call(cluster, "prune", "--keep=1", "--no-specs") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [lines[0], f"removed: {uri(OLD)}"]
    assert f"km: removed .km.{sha256(OLD)}.{TOKEN}.tmp" in told.err
    assert sorted(cluster.files) == [path(NEW), "/art/manifest.json"]
    assert cluster.folders == set()
    (record,) = json.loads(cluster.files["/art/manifest.json"])["artifacts"]
    assert record["sha256"] == sha256(NEW)


def test_what_was_published_exactly(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "km").write_bytes(b"exact")
    line = ["upload", "--exact", str(tmp_path / "km"), "hdfs://nn/art/km", f"--namenode={cluster.url}"]
    assert run(line, artifacts, "km artifacts") == 0
    capsys.readouterr()
    assert call(cluster, "list", "--json") == 0
    told = {one["uri"]: one["sha256"] for one in json.loads(capsys.readouterr().out)}
    assert told["hdfs://nn/art/km"] == sha256(b"exact")
    assert call(cluster, "prune", "--keep=0", "--no-specs") == 0
    assert "stays: hdfs://nn/art/km (published with --exact)" in capsys.readouterr().out
    assert cluster.files["/art/km"] == b"exact"
    assert call(cluster, "verify", "--repair") == 0
    cluster.files["/art/km"] = b"other"
    assert call(cluster, "verify") == 25
    assert f"WRONG: hdfs://nn/art/km (its content has the sha256 {sha256(b'other')})" in capsys.readouterr().out


def test_prune_leaves_what_is_young(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(cluster, "prune", "--keep=0", "--no-specs", "--min-age=5000w") == 0
    assert capsys.readouterr().out.count("(too young)") == 2
    assert call(cluster, "prune", "--keep=0", "--no-specs", "--min-age=soon") == 2
    assert len(cluster.files) == 2


def test_prune_wants_to_know_what_executors_use(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(cluster, "prune", "--keep=0") == 2
    assert "say --state-dir=DIR or --scheduler=URL" in capsys.readouterr().err
    assert call(cluster, "prune", "--keep=0", f"--state-dir={tmp_path}") == 10
    assert call(cluster, "prune", "--keep=0", "--scheduler=http://127.0.0.1:1") == 69
    assert len(cluster.files) == 2


def test_prune_leaves_what_a_recorded_spec_has(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = json.dumps({"schema": 2, "flags": {}, "artifacts": {"km-path": sha256(OLD)}})
    (tmp_path / "executors").mkdir()
    record = json.dumps({"schema": 1, "revision": 1, "value": spec})
    (tmp_path / "executors" / ("d" * 64)).write_text(record)
    assert call(cluster, "prune", "--keep=0", f"--state-dir={tmp_path}") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"removed: {uri(NEW)}",
        f"stays: {uri(OLD)} (an executor spec has it)",
    ]
    assert list(cluster.files) == [path(OLD)]


PAGES = {
    "/api/v1/executors": {"executors": [{"fingerprint": "1" * 64, "executor_id": "km-1", "artifacts": {}}]},
    f"/api/v1/executors/{'1' * 64}": {"spec": {"schema": 1, "flags": {"km-path": f"hdfs://nn/x/{sha256(OLD)}/km"}}},
}
UNKNOWN = {"/api/v1/executors": {"executors": [{"fingerprint": None, "executor_id": "km-2", "agents": 3}]}}


@contextlib.contextmanager
def scheduler(pages: Mapping[str, object]) -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = json.dumps(pages[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_prune_asks_schedulers(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    with scheduler(PAGES) as url:
        assert call(cluster, "prune", "--keep=0", f"--scheduler={url}", "--json") == 0
    assert {one["uri"]: one["result"] for one in json.loads(capsys.readouterr().out)} == {
        uri(NEW): "removed",
        uri(OLD): "stays",
    }


@pytest.mark.parametrize(
    ("pages", "message"), [(UNKNOWN, "its spec is not recorded"), ({"/api/v1/executors": {}}, "lists no")]
)
def test_prune_refuses_when_a_scheduler_does_not_know_all(
    cluster: Cluster, pages: Mapping[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with scheduler(pages) as url:
        assert call(cluster, "prune", "--keep=0", f"--scheduler={url}") == 10
    assert message in capsys.readouterr().err
    assert len(cluster.files) == 2
