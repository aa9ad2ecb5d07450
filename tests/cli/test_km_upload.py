"""`km-upload`: what it prints, and its exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.cli.km import run
from kmsched.cli.km_upload import bar, km_upload
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
    assert call(cluster, km) == 0
    assert "already there, verified, nothing sent" in capsys.readouterr().err


def test_json(cluster: Cluster, km: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kubelet").write_bytes(b"")
    cluster.files[f"/art/{SHA256}/.km.{'0' * 16}.tmp"] = b""
    assert call(cluster, km, str(tmp_path / "kubelet"), "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "file": km,
        "uri": URI,
        "sha256": SHA256,
        "size_bytes": 10,
        "sent": True,
        "removed": [f".km.{'0' * 16}.tmp"],
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


def test_without_the_library(km: str) -> None:
    script = "import sys; sys.modules['hdfs'] = None; from kmsched.cli.km_upload import main; main()"
    command = [sys.executable, "-c", script, km, "hdfs://nn/art"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 10
    assert "pip install 'kmsched[hdfs]'" in done.stderr
