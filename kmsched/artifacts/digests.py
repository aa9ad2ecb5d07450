"""The SHA-256 of each file that agents will run: named by its URI, kept from an earlier start, or read once.

Knows that a path without a digest may hold another file tomorrow, and that the fingerprint must not follow it
silently: what was read once is kept until the URI says otherwise.  It does not know flags beyond their names, how a
URI is read, or where the record lies: all three are given to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kmsched.artifact_uri import is_sha256, sha256_of, without_digest
from kmsched.errors import ArtifactError, ConfigRefused, LocalFileUnreadable

#: the store's key of what was read once
KEY = "artifacts"
SCHEMA = 1
#: digests that are kept; the oldest go first
MAX_KEPT = 100

Read = Callable[[str], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Digests:
    """`by_flag`: flag name -> SHA-256. `kept`: what the record must hold now. `warnings`: for the operator."""

    by_flag: Mapping[str, str]
    kept: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def named(uris: Mapping[str, str]) -> dict[str, str]:
    """Digests that the URIs themselves name, by flag; nothing is read."""
    found = {flag: sha256_of(uri) for flag, uri in uris.items()}
    return {flag: digest for flag, digest in found.items() if digest is not None}


def resolve(uris: Mapping[str, str], kept: Mapping[str, str], read: Read) -> Digests:
    """The digest of each flag's URI. Reads, and so blocks, for those that neither name it nor are in `kept`.

    ConfigRefused: a file: of agents that this host lacks, so that it cannot be read.  ArtifactError: a URI cannot be
    read; its kind says whether trying again may help.
    """
    by_flag = named(uris)
    now_kept = dict(kept)
    warnings = []
    for flag, uri in sorted(uris.items()):
        if flag in by_flag:
            continue
        bare = without_digest(uri)
        if bare not in now_kept:
            try:
                now_kept[bare] = digest_of(read(bare))
            except LocalFileUnreadable as error:
                raise ConfigRefused(_of_agents_only(flag, bare, error)) from None
            except ArtifactError as error:
                raise type(error)(f"--{flag}={bare} cannot be read for its SHA-256: {error}") from error
        by_flag[flag] = now_kept[bare]
        warnings.append(_mutable(flag, bare, now_kept[bare]))
    while len(now_kept) > MAX_KEPT:
        del now_kept[next(iter(now_kept))]
    return Digests(by_flag, now_kept, tuple(warnings))


def digest_of(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def to_record(kept: Mapping[str, str]) -> str:
    return json.dumps({"schema": SCHEMA, "digests": dict(kept)}, separators=(",", ":"))


def from_record(text: str) -> dict[str, str]:
    """URI -> digest. ConfigRefused: the record is none, or of another version."""
    remedy = f"restore the record {KEY!r} of the store from a backup, or remove it: URIs are then read again"
    try:
        record = json.loads(text)
        schema, digests = record["schema"], record["digests"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigRefused(f"the digests that were kept cannot be read: {error!r}; {remedy}") from None
    if schema != SCHEMA:
        raise ConfigRefused(f"the digests that were kept have schema {schema!r}, not {SCHEMA}; {remedy}")
    if not isinstance(digests, dict) or not all(map(is_sha256, digests.values())):
        raise ConfigRefused(f"the digests that were kept are not digests by URI; {remedy}")
    return digests


def _mutable(flag: str, uri: str, digest: str) -> str:
    return (
        f"--{flag}={uri} names no SHA-256. Its file was read once, as sha256 {digest}, and agents refuse any other "
        f"that is put there later; to change it, give .../<sha256>/name as km-upload prints it, or {uri}#sha256=<hex>"
    )


def _of_agents_only(flag: str, uri: str, error: Exception) -> str:
    return (
        f"--{flag}={uri} names no SHA-256, and there is no such file on this host to read it from ({error}); "
        f"give {uri}#sha256=<hex>, or a path .../<sha256>/name"
    )
