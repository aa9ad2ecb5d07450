"""Where a URI may name its digest, and what it looks like with and without it."""

from __future__ import annotations

import re

import pytest

from kmsched.artifact_uri import SCHEMES, sha256_of, with_digest, without_digest

SHA = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("uri", "digest"),
    [
        ("hdfs:///km", None),
        (f"hdfs:///km#sha256={SHA}", SHA),
        (f"hdfs:///km#sha256={SHA.upper()}", SHA),
        (f"hdfs://nn:8020/a/{SHA}/km", SHA),
        (f"http://h/{SHA}/km?x=1", SHA),
        (f"file:///a/{SHA}/km#sha256={SHA}", SHA),
        (f"file:///a/{SHA}", None),  # a name, not the folder that a file is published in
        (f"file:///{OTHER}/{SHA}/km", SHA),
        (f"file:///{SHA.upper()}/km", None),
        (f"http://h/km?x=/{SHA}/km", None),
    ],
)
def test_digest_of_a_uri(uri: str, digest: str | None) -> None:
    assert sha256_of(uri) == digest


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"hdfs:///{SHA}/km#sha256={OTHER}", "names two digests"),
        ("hdfs:///km#sha256=12", "ends with #sha256=12, which is no digest"),
        (f"hdfs:///km#{SHA}", "write #sha256="),
        ("hdfs:///km#", "ends with #, which is no digest"),
    ],
)
def test_wrong_digests_are_refused(uri: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        sha256_of(uri)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_with_and_without(scheme: str) -> None:
    bare = f"{scheme}://h/dir/km"
    whole = with_digest(bare, SHA)
    assert whole == f"{bare}#sha256={SHA}"
    assert with_digest(whole, SHA) == whole
    assert without_digest(whole) == bare
    published = f"{scheme}://h/dir/{SHA}/km"
    assert with_digest(published, SHA) == with_digest(f"{published}#sha256={SHA}", SHA) == published


@pytest.mark.parametrize(
    ("uri", "sha256", "words"),
    [
        ("hdfs:///km", "12", "64 digits"),
        (f"hdfs:///{SHA}/km", OTHER, f"names the digest {SHA}, and not {OTHER}"),
        (f"hdfs:///km#sha256={SHA}", OTHER, "and not"),
    ],
)
def test_a_digest_that_does_not_fit_is_refused(uri: str, sha256: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        with_digest(uri, sha256)
