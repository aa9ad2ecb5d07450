"""Artifacts' URIs and the SHA-256 that they name: in their path, or behind it.

Knows the two places of a digest, `.../<sha256>/name` and `#sha256=<hex>`, and the schemes that can be fetched. It
reads nothing and imports nothing of the project: whatever handles artifacts can use it. A ValueError completes the
sentence "'uri' ...", and the caller says which flag it was.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SCHEMES = ("file", "hdfs", "http", "https")
FRAGMENT = "sha256="
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256_of(uri: str) -> str | None:
    """The digest that `uri` names, 64 hexadecimal digits in lower case; None if it names none.

    ValueError: a fragment that is no digest, or two digests that differ.
    """
    in_path, behind = _in_path(uri), _behind(uri)
    if in_path and behind and in_path != behind:
        raise ValueError(f"names two digests, {in_path} in its path and {behind} behind it; cut one of them")
    return in_path or behind


def is_sha256(digest: object) -> bool:
    """Whether it is one as we write them: 64 digits of 0-9a-f."""
    return isinstance(digest, str) and _SHA256.fullmatch(digest) is not None


def without_digest(uri: str) -> str:
    """What is asked for when it is fetched: the URI without its fragment."""
    return uri.partition("#")[0]


def with_digest(uri: str, sha256: str) -> str:
    """`uri` so that it names `sha256`: with `#sha256=<hex>` behind it, unless its path says so.

    ValueError: it names another digest, or `sha256` is none.
    """
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"cannot be given the digest {sha256!r}; a SHA-256 has 64 digits of 0-9a-f")
    named = sha256_of(uri)
    if named is not None and named != sha256:
        raise ValueError(f"names the digest {named}, and not {sha256}")
    bare = without_digest(uri)
    return bare if _in_path(bare) else f"{bare}#{FRAGMENT}{sha256}"


def _in_path(uri: str) -> str | None:
    folders = urlsplit(without_digest(uri)).path.split("/")[:-1]
    return folders[-1] if folders and _SHA256.fullmatch(folders[-1]) else None


def _behind(uri: str) -> str | None:
    _, mark, fragment = uri.partition("#")
    if not mark:
        return None
    digest = fragment.removeprefix(FRAGMENT).lower()
    if not fragment.startswith(FRAGMENT) or not _SHA256.fullmatch(digest):
        raise ValueError(f"ends with #{fragment}, which is no digest; write #{FRAGMENT} and 64 hexadecimal digits")
    return digest
