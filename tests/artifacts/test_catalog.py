"""What is published, and what of it may go."""

from __future__ import annotations

import hashlib

import pytest

from kmsched.artifacts import catalog, manifest
from kmsched.artifacts.catalog import Artifact, Verdict
from kmsched.artifacts.manifest import Record
from tests.artifacts.memory import MemoryStorage

TOKEN = "0" * 16


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(*contents: bytes, name: str = "km") -> MemoryStorage:
    storage = MemoryStorage()
    for content in contents:
        storage.keep(f"/art/{sha256(content)}/{name}", content)
    return storage


def test_scan_takes_what_uploads_have_put_there() -> None:
    storage = published(b"old", b"new")
    storage.keep(f"/art/.km.{sha256(b'x')}.{TOKEN}.tmp", b"")
    for name in ("manifest.json", "readme", f"notes/{sha256(b'x')}", f"{sha256(b'new')}/.hidden"):
        storage.keep(f"/art/{name}", b"")
    found = catalog.scan(storage, "/art")
    assert [(one.name, one.sha256) for one in found.artifacts] == [("km", sha256(b"new")), ("km", sha256(b"old"))]
    assert [one.path for one in found.leftovers] == [f"/art/.km.{sha256(b'x')}.{TOKEN}.tmp"]


def test_differences_from_the_manifest() -> None:
    storage = published(b"one", b"two")
    one, two = sha256(b"one"), sha256(b"two")
    records = [Record("km", "", digest, 9, "", "") for digest in (one, "f" * 64)]
    assert sorted(catalog.differences(catalog.scan(storage, "/art"), records)) == sorted(
        [
            f"{one}/km has 3 bytes, and 9 in the manifest",
            f"{two}/km is not in the manifest",
            f"{'f' * 64}/km is in the manifest, and not there",
        ]
    )


def test_check_reads_all_of_it() -> None:
    storage = published(b"good", b"bad")
    storage.files[f"/art/{sha256(b'bad')}/km"] = storage.files[f"/art/{sha256(b'good')}/km"]
    verdicts = {
        one.sha256: catalog.check(storage, "/art", one, lambda *step: None).why
        for one in catalog.scan(storage, "/art").artifacts
    }
    assert verdicts == {sha256(b"good"): "", sha256(b"bad"): f"its content has the sha256 {sha256(b'good')}"}


def artifact(number: int, name: str = "km") -> Artifact:
    return Artifact(name, f"{number:064x}", 1, number * 1000, "alice")


def reasons(verdicts: list[Verdict]) -> dict[str, str]:
    return {f"{one.artifact.name}{int(one.artifact.sha256, 16)}": one.why for one in verdicts}


def test_what_may_go() -> None:
    files = [artifact(number) for number in range(1, 6)] + [artifact(1, "kubelet")]
    verdicts = catalog.may_go(files, keep=1, used={f"{2:064x}"}, now_ms=10_000, min_age_ms=6_500)
    assert reasons(verdicts) == {
        "km5": "number 1 of the 1 newest",
        "km4": "too young",
        "km3": "",
        "km2": "an executor spec has it",
        "km1": "",
        "kubelet1": "number 1 of the 1 newest",
    }


def test_used_ones_do_not_count_as_gone() -> None:
    verdicts = catalog.may_go([artifact(1), artifact(2)], keep=0, used={f"{1:064x}"}, now_ms=99_999, min_age_ms=0)
    assert reasons(verdicts) == {"km2": "", "km1": "an executor spec has it"}


def test_remove_leaves_what_was_published_again() -> None:
    storage = published(b"one")
    (one,) = catalog.scan(storage, "/art").artifacts
    storage.touch(f"/art/{one.path}", 99)
    assert not catalog.remove(storage, "/art", one)
    (again,) = catalog.scan(storage, "/art").artifacts
    assert catalog.remove(storage, "/art", again)
    assert storage.files == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'{{"km-path":"hdfs://nn/km/{"a" * 64}/km"}}', {"a" * 64}),
        (f'"{{\\"kubelet-path\\":\\"{"B" * 64}\\"}}"', {"b" * 64}),
        ("c" * 63, set()),
        ("c" * 65, set()),
        (manifest.NAME, set()),
    ],
)
def test_digests_in_a_record_of_any_form(text: str, found: set[str]) -> None:
    assert catalog.digests_in(text) == found
