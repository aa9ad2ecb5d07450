"""Digests of artifacts: named, kept, or read once; a file that is replaced later changes nothing silently."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import pytest

from kmsched.artifacts import digests
from kmsched.artifacts.digests import Digests
from kmsched.errors import ArtifactError, ConfigRefused, LocalFileUnreadable, SafeMode, StorageUnreachable

SHA = "0123456789abcdef" * 4
KM = hashlib.sha256(b"the km file").hexdigest()


class Reader:
    """Gives `content`, or raises what stands there; counts what was asked for."""

    def __init__(self, content: Mapping[str, list[bytes] | ArtifactError] | None = None) -> None:
        self.content = content or {}
        self.asked: list[str] = []

    def __call__(self, uri: str) -> Iterable[bytes]:
        self.asked.append(uri)
        found = self.content[uri]
        if isinstance(found, ArtifactError):
            raise found
        yield from found


def resolve(uris: Mapping[str, str], reader: Reader, kept: Mapping[str, str] | None = None) -> Digests:
    return digests.resolve(uris, kept or {}, reader)


def test_named_digests_need_no_reading() -> None:
    uris = {
        "km-path": f"hdfs://nn/{SHA}/km",
        "kubelet-path": f"file:///kubelet#sha256={SHA}",
        "proxy-path": "hdfs:///p",
    }
    assert digests.named(uris) == {"km-path": SHA, "kubelet-path": SHA}
    reader = Reader({"hdfs:///p": [b"the ", b"km file"]})
    found = resolve(uris, reader)
    assert found.by_flag == {"km-path": SHA, "kubelet-path": SHA, "proxy-path": KM}
    assert reader.asked == ["hdfs:///p"]


def test_a_mutable_path_is_read_once_and_kept() -> None:
    first = resolve({"km-path": "hdfs:///km"}, Reader({"hdfs:///km": [b"the km file"]}))
    assert first.by_flag == {"km-path": KM}
    assert first.kept == {"hdfs:///km": KM}
    reader = Reader({"hdfs:///km": [b"another file"]})
    again = resolve({"km-path": "hdfs:///km"}, reader, first.kept)
    assert (again.by_flag, again.kept, reader.asked) == (first.by_flag, first.kept, [])
    for found in (first, again):
        [warning] = found.warnings
        assert warning.startswith(f"--km-path=hdfs:///km names no SHA-256. Its file was read once, as sha256 {KM}")
        assert "hdfs:///km#sha256=<hex>" in warning


def test_a_digest_behind_the_uri_wins_over_what_was_kept() -> None:
    found = resolve({"km-path": f"hdfs:///km#sha256={SHA}"}, Reader(), {"hdfs:///km": KM})
    assert (found.by_flag, found.warnings) == ({"km-path": SHA}, ())


@pytest.mark.parametrize("kind", [StorageUnreachable, SafeMode, ArtifactError])
def test_what_cannot_be_read_keeps_its_kind(kind: type[ArtifactError]) -> None:
    with pytest.raises(kind, match="--km-path=hdfs:///km cannot be read for its SHA-256: away") as caught:
        resolve({"km-path": "hdfs:///km"}, Reader({"hdfs:///km": kind("away")}))
    assert type(caught.value) is kind


def test_files_of_agents_only() -> None:
    reader = Reader({uri: LocalFileUnreadable("no such file") for uri in ("file:///km", "file:///kubelet")})
    words = re.escape("--km-path=file:///km names no SHA-256") + ".*" + re.escape("give file:///km#sha256=<hex>")
    with pytest.raises(ConfigRefused, match=words):
        resolve({"km-path": "file:///km"}, reader)
    with pytest.raises(ConfigRefused, match="--kubelet-path=file:///kubelet names no SHA-256, and there is no such"):
        resolve({"kubelet-path": "file:///kubelet"}, reader)


def test_what_is_kept_is_bounded() -> None:
    kept = {f"hdfs:///{number}": SHA for number in range(digests.MAX_KEPT)}
    found = resolve({"km-path": "hdfs:///km"}, Reader({"hdfs:///km": [b"the km file"]}), kept)
    assert len(found.kept) == digests.MAX_KEPT
    assert "hdfs:///0" not in found.kept
    assert found.kept["hdfs:///km"] == KM


def test_record() -> None:
    kept = {"hdfs:///km": KM}
    assert digests.from_record(digests.to_record(kept)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema":9,"digests":{}}',
        '{"schema":1,"digests":{"a":1}}',
        '{"schema":1,"digests":{"a":"rubbish"}}',
        f'{{"schema":1,"digests":{{"a":"{SHA.upper()}"}}}}',
        "[" * 200_000,
    ],
)
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused, match="restore the record 'artifacts'"):
        digests.from_record(text)
