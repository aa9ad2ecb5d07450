"""Uploads to a real HDFS that breaks in the middle: the whole file or none under the final name, always.

Each fault comes once, in the middle of 150 MB where there has to be a middle; `make soak NAME=upload-faults` has the
large numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from testbed import lifecycle, processes
from testbed.hdfs import Hdfs
from testbed.hdfs_layout import MIB
from testbed.settings import from_environment
from tests.scenarios import uploads
from tests.scenarios.upload_faults import FAULTS

LARGE, MIDDLE, SMALL = 150 * MIB, 40 * MIB, 3 * MIB
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
        pytest.param("kill-datanode", LARGE, {UNREACHABLE}, "upload again", id="kill-datanode"),
        pytest.param("kill-replica", LARGE, {0, UNREACHABLE}, "", id="kill-replica"),
        pytest.param("pause-datanode", MIDDLE, {0, UNREACHABLE}, "", id="pause-datanode"),
        pytest.param("kill-namenode", LARGE, {0, UNREACHABLE}, "", id="kill-namenode"),
        pytest.param("safe-mode", LARGE, {SAFE_MODE}, "safe mode", id="safe-mode"),
        pytest.param("quota", MIDDLE, {NO_SPACE}, "quota", id="quota"),
        pytest.param("permission", SMALL, {NO_PERMISSION}, "use another user", id="permission"),
        pytest.param("exact", SMALL, {0}, "", id="exact"),
        pytest.param("exact-kill-uploader", MIDDLE, {KILLED}, "", id="exact-kill-uploader"),
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
