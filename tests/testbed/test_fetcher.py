"""The stand-in for Mesos' fetcher does to a `hadoop` what the real one does."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

FETCHER = Path(__file__).resolve().parents[2] / "testbed/files/mesos/mesos-fetcher.py"
_spec = importlib.util.spec_from_file_location("mesos_fetcher", FETCHER)
assert _spec is not None and _spec.loader is not None
PROGRAM = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(PROGRAM)

#: notes how it was called; `version` fails where there is a file `deaf` beside it
HADOOP = """#!/bin/sh
here=$(dirname "$0")
echo "$(basename "$0") $*" >> "$here/calls"
case $1 in
  version) [ ! -e "$here/deaf" ] ;;
  fs) [ -e "$here/stored" ] || { echo "copyToLocal: \\`$3': No such file or directory" >&2; exit 1; }
      cp "$here/stored" "$4" ;;
esac
"""


class Host:
    """An agent's sandbox, and its folder of programs."""

    def __init__(self, root: Path) -> None:
        self.sandbox, self.cache, self.bin = root / "sandbox", root / "cache", root / "home" / "bin"
        for folder in (self.sandbox, self.bin):
            folder.mkdir(parents=True)
        (self.bin / "hadoop").write_text(HADOOP)
        (self.bin / "hadoop").chmod(0o755)
        self.environ = {"PATH": f"{self.bin}:{os.environ['PATH']}"}

    def fetch(self, value: str, item: dict[str, Any] | None = None, **uri: Any) -> tuple[int, str]:
        """The exit code, and what it has said."""
        info = {
            "sandbox_directory": str(self.sandbox),
            "cache_directory": str(self.cache),
            "items": [{"uri": {"value": value, **uri}, **(item or {"action": "BYPASS_CACHE"})}],
        }
        with contextlib.redirect_stderr(io.StringIO()) as said:
            code = PROGRAM.main({**self.environ, "MESOS_FETCHER_INFO": json.dumps(info)})
        return code, said.getvalue()

    def calls(self) -> list[str]:
        return (self.bin / "calls").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("by", ["PATH", "HADOOP_HOME"])
def test_hdfs_is_fetched_by_the_agents_hadoop(host: Host, by: str) -> None:
    if by == "HADOOP_HOME":
        host.environ = {"HADOOP_HOME": str(host.bin.parent), "PATH": os.environ["PATH"]}
    (host.bin / "stored").write_bytes(b"km")
    code, said = host.fetch("hdfs:///km/x", executable=True, extract=False, output_file="km")
    assert (code, said.splitlines()[-1]) == (0, "Fetched 'hdfs:///km/x'")
    assert host.calls() == ["hadoop version", f"hadoop fs -copyToLocal hdfs:///km/x {host.sandbox}/km"]
    assert (host.sandbox / "km").read_bytes() == b"km"
    assert (host.sandbox / "km").stat().st_mode & 0o777 == 0o755


def test_a_hadoop_that_fails_is_told(host: Host) -> None:
    code, said = host.fetch("hdfs:///km")
    assert code == 1
    assert "HDFS copyToLocal failed: Unexpected result from the subprocess: status='256'" in said
    assert "copyToLocal: `hdfs:///km': No such file" in said
    (host.bin / "deaf").touch()
    _, said = host.fetch("hdfs:///km")
    assert "Failed to create HDFS client: Failed to execute 'hadoop version 2>&1'" in said
    assert host.calls()[-1] == "hadoop version"


def test_without_a_hadoop(host: Host) -> None:
    (host.bin / "hadoop").unlink()
    assert "Failed to create HDFS client" in host.fetch("hdfs:///km")[1]


def test_an_unknown_scheme_is_hadoops_too(host: Host) -> None:
    (host.bin / "stored").write_bytes(b"km")
    assert host.fetch("s3a://bucket/km")[0] == 0
    assert host.calls()[1] == f"hadoop fs -copyToLocal /s3a://bucket/km {host.sandbox}/km"


def test_local_files_archives_and_what_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text"))
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as archive:
        archive.add(FETCHER, "inside/file")
    assert host.fetch(f"file://{tmp_path}/a.gz")[0] == 0
    assert (host.sandbox / "a").read_bytes() == b"text"
    assert host.fetch(f" {tmp_path}/b.tgz", output_file="deep/b.tgz")[0] == 0
    assert (host.sandbox / "inside/file").exists()
    assert (host.sandbox / "deep/b.tgz").exists()
    assert "absolute paths" in host.fetch("file://b.tgz")[1]
    assert "framework home" in host.fetch("b.tgz")[1]
    assert "Illegal characters" in host.fetch("hdfs:///a'b")[1]


def test_the_cache(host: Host) -> None:
    (host.bin / "stored").write_bytes(b"km")
    item = {"action": "DOWNLOAD_AND_CACHE", "cache_filename": "c1-km"}
    assert host.fetch("hdfs:///km", item, executable=True)[0] == 0
    assert (host.cache / "c1-km").read_bytes() == (host.sandbox / "km").read_bytes() == b"km"
    (host.sandbox / "km").unlink()
    assert host.fetch("hdfs:///km", {**item, "action": "RETRIEVE_FROM_CACHE"}, extract=False)[0] == 0
    assert (host.sandbox / "km").read_bytes() == b"km"
    assert len(host.calls()) == 2
