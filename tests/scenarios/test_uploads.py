"""Uploads to a real HDFS that breaks in the middle: the whole file or none under the final name, always.

Each fault comes once, in the middle of 150 MB where there has to be a middle; `make soak NAME=upload-faults` has the
large numbers, and those faults that take minutes (a DataNode that hangs for good, no NameNode left).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kmsched import __version__
from kmsched.artifact_uri import without_digest
from testbed import hdfs_layout, hdfs_tls, lifecycle, processes
from testbed.hdfs import PUBLISHER, Hdfs, entered
from testbed.hdfs_layout import MIB, NAMESERVICE, https_port
from testbed.settings import from_environment
from tests.scenarios import product, stored, uploader, uploads
from tests.scenarios.upload_faults import FAULTS

LARGE, MIDDLE, SMALL = 150 * MIB, 40 * MIB, 3 * MIB
LIMIT_S = 120
HTTPS = {"dfs.http.policy": "HTTPS_ONLY"}
KILLED, UNREACHABLE, NO_PERMISSION, NO_SPACE, SAFE_MODE = -9, 21, 22, 23, 24


@pytest.fixture(scope="module")
def storage() -> Iterator[Hdfs]:
    settings = from_environment(os.environ)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        found = lifecycle.up_hdfs(settings)
    yield found
    found.up()


@pytest.mark.parametrize(
    ("fault", "size_bytes", "codes", "words"),
    [
        pytest.param("none", SMALL, {0}, "", id="none"),
        pytest.param("kill-uploader", LARGE, {KILLED}, "", id="kill-uploader"),
        pytest.param("two-at-once", MIDDLE, {0}, "", id="two-at-once"),
        pytest.param("kill-datanode", LARGE, {0}, "", id="kill-datanode"),
        pytest.param("kill-replica", LARGE, {0, UNREACHABLE}, "", id="kill-replica"),
        pytest.param("pause-datanode", MIDDLE, {0, UNREACHABLE}, "", id="pause-datanode"),
        pytest.param("freeze-verifying", MIDDLE, {0}, "already there, verified", id="freeze-verifying"),
        pytest.param("kill-namenode", LARGE, {0, UNREACHABLE}, "", id="kill-namenode"),
        pytest.param("safe-mode", LARGE, {SAFE_MODE}, "safe mode", id="safe-mode"),
        pytest.param("quota", MIDDLE, {NO_SPACE}, "quota", id="quota"),
        pytest.param("permission", SMALL, {NO_PERMISSION}, "use another user", id="permission"),
        pytest.param("exact", SMALL, {0}, "", id="exact"),
        pytest.param("exact-kill-uploader", LARGE, {KILLED}, "", id="exact-kill-uploader"),
    ],
)
def test_a_fault_in_the_middle(storage: Hdfs, fault: str, size_bytes: int, codes: set[int], words: str) -> None:
    seed = list(FAULTS).index(fault)
    share = Random(seed).uniform(0.3, 0.7)
    found = uploads.trial(storage, fault, FAULTS[fault], seed, size_bytes, share)
    print(found.record())
    assert not found.wrong, found.wrong
    assert found.exit_code in codes, found.record()
    assert words in found.message
    assert found.notes.get("reached", True), found.record()


def test_tls_to_namenodes_and_datanodes(storage: Hdfs, tmp_path: Path) -> None:
    """By the addresses of the command line, and by Hadoop's files; an authority that nobody believes is refused."""
    authority, layout = hdfs_tls.authority(storage.layout.tls), storage.layout
    https = [f"--namenode=https://{layout.address}:{https_port(part)}" for part in layout.of("namenode")]
    for name, values in (("core-site.xml", hdfs_layout.core()), ("hdfs-site.xml", HTTPS | hdfs_layout.client(layout))):
        (tmp_path / name).write_text(hdfs_layout.xml(values))
    with uploads.scene(storage, 0, SMALL, 0) as at:
        refused = uploader.run(storage, at.source, at.folder, *https, user=PUBLISHER)
        assert (refused.code, "CERTIFICATE_VERIFY_FAILED" in refused.message) == (UNREACHABLE, True), refused.text
        done = uploader.run(storage, at.source, at.folder, *https, f"--ca-file={authority}", user=PUBLISHER)
        assert done.code == 0, done.text
        uri = without_digest(done.printed.strip())
        assert stored.by_hadoop(storage, uri, tmp_path) == at.sha256
        fetched, small = tmp_path / "fetched-by-ours", tmp_path / "hadoop"
        small.symlink_to(product.KM)
        command = [*entered(storage.settings), str(small), "fs", "-copyToLocal", uri, str(fetched)]
        environ = {**os.environ, "HADOOP_CONF_DIR": str(tmp_path)}
        plain = subprocess.run(command, env=environ, check=False, capture_output=True, text=True, timeout=LIMIT_S)
        assert (plain.returncode, "CERTIFICATE_VERIFY_FAILED" in plain.stderr) == (1, True), plain.stderr
        environ["SSL_CERT_FILE"] = str(authority)
        subprocess.run(command, env=environ, check=True, timeout=LIMIT_S)
        assert hashlib.sha256(fetched.read_bytes()).hexdigest() == at.sha256


def artifacts(storage: Hdfs, command: str, folder: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and JSON of `km artifacts COMMAND` by bin/km."""
    words = [str(product.KM), "artifacts", command, f"hdfs://{NAMESERVICE}{folder}", "--json", *options]
    environ = {**os.environ, "HADOOP_CONF_DIR": str(storage.layout.client), "HADOOP_USER_NAME": PUBLISHER}
    done = subprocess.run(
        [*entered(storage.settings), *words], env=environ, check=False, capture_output=True, text=True, timeout=LIMIT_S
    )
    return done.returncode, json.loads(done.stdout)


def test_published_listed_verified_and_pruned(storage: Hdfs) -> None:
    with uploads.scene(storage, 0, SMALL, 0) as at:
        km = at.source.with_name("km")
        shutil.copyfile(product.KM, km)
        for source, *more in ((km,), (at.source,), (at.source, "--exact")):
            where = f"{at.folder}/{uploads.NAME}" if more else at.folder
            assert uploader.run(storage, source, where, *more, user=PUBLISHER).code == 0
        old = at.target
        at.source.write_bytes(b"newer")
        newer = uploader.run(storage, at.source, at.folder, user=PUBLISHER).printed.strip()
        code, told = artifacts(storage, "list", at.folder)
        assert code == 0
        versions = {one["uri"].removeprefix(f"hdfs://{NAMESERVICE}{at.folder}/"): one["version"] for one in told}
        relative = without_digest(newer).removeprefix(f"hdfs://{NAMESERVICE}{at.folder}/")
        wanted = {f"{product.sha256()}/km": __version__, f"{at.sha256}/{uploads.NAME}": "", uploads.NAME: ""}
        assert versions == {**wanted, relative: ""}
        assert artifacts(storage, "verify", at.folder)[0] == 0
        _, told = artifacts(storage, "prune", at.folder, "--keep=1", "--no-specs", "--min-age=0s")
        assert [one["uri"] for one in told if one["result"] == "removed"] == [f"hdfs://{NAMESERVICE}{old}"]
        assert stored.status(storage, old) is None
        # somebody else's hand
        storage.run("fs", "-put", "-f", str(at.source), f"{at.folder}/{uploads.NAME}")
        code, told = artifacts(storage, "verify", at.folder)
        wrong = [one["uri"] for one in told if one["result"] == "WRONG"]
        assert (code, wrong) == (25, [f"hdfs://{NAMESERVICE}{at.folder}/{uploads.NAME}"])
