"""`manifest.json` of a folder: what was published there, by whom and when, for people and their tools.

Knows its form, and how to change it while others do the same.  It is a convenience: what is in the folder is told by
the folder, so nobody may decide by it, and one that cannot be read is an error of its own.

To change it, an uploader renames its new text to the one name `.manifest.json.next`, which HDFS lets nobody do while
that is there; so whoever did it may compare, and put it in place.  One that a dead uploader has left is removed by
those who have waited for it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from kmsched.artifacts.storage import Content, Entry, Storage, leftovers, sweep, temporary, verify
from kmsched.errors import ArtifactError, KmError

NAME = "manifest.json"
NEXT = f".{NAME}.next"
SCHEMA = 1
MAX_BYTES = 8 << 20
#: the pause is `PAUSE_S` to twice that; a `.next` that stays through STALE_LOOKS of them is a dead one's
PAUSE_S = 0.1
STALE_LOOKS = 50
MAX_ATTEMPTS = 200


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One published file. `time`: RFC 3339, UTC; `version`: what `km version` says, "" if it is no km file; `exact`:
    it is at the very name, and not below its digest."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    time: str
    uploader: str
    exact: bool = False

    @property
    def path(self) -> str:
        """Relative to the folder."""
        return self.name if self.exact else f"{self.sha256}/{self.name}"


class _Manifest(msgspec.Struct, frozen=True):
    schema: int
    artifacts: tuple[Record, ...]


class _SchemaOnly(msgspec.Struct):
    schema: int


Edit = Callable[[tuple[Record, ...]], Iterable[Record]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`token`: 16 new random hex digits at each call; `unit`: a random number from 0 to 1."""

    token: Callable[[], str]
    unit: Callable[[], float]
    sleep: Callable[[float], None]


def encode(records: Iterable[Record]) -> bytes:
    ordered = tuple(sorted(records, key=lambda record: (record.name, record.time, record.sha256)))
    return msgspec.json.format(msgspec.json.encode(_Manifest(SCHEMA, ordered)), indent=1) + b"\n"


def decode(raw: bytes, path: str) -> tuple[Record, ...]:
    """ArtifactError: no manifest, or one of a later version."""
    try:
        schema = msgspec.json.decode(raw, type=_SchemaOnly).schema
        if schema != SCHEMA:
            raise ArtifactError(f"{path}: schema {schema}, and this version reads schema {SCHEMA}; take a newer km")
        return msgspec.json.decode(raw, type=_Manifest).artifacts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is no manifest ({error}); remove it, then run km artifacts verify --repair"
        ) from error


def read(storage: Storage, folder: str) -> tuple[Record, ...]:
    """What the manifest says; nothing if there is none. ArtifactError and its kinds."""
    return _read(storage, folder, storage.look(f"{folder}/{NAME}"))


def change(storage: Storage, folder: str, edit: Edit, surroundings: Surroundings) -> bool:
    """Put `edit` of what is there in place of it; False: it was so already. ArtifactError and its kinds."""
    path, claim = f"{folder}/{NAME}", f"{folder}/{NEXT}"
    blocker, looks, changed = None, 0, False
    for _ in range(MAX_ATTEMPTS):
        before = storage.look(path)
        records = _read(storage, folder, before)
        raw = encode(edit(records))
        if raw == encode(records):
            _sweep(storage, folder)
            return changed
        if _claim(storage, folder, raw, surroundings.token()):
            # looked at again in the next round
            changed = _publish(storage, folder, before) or changed
            continue
        found = storage.look(claim)
        blocker, looks = found, looks + 1 if found is not None and found == blocker else 0
        if looks >= STALE_LOOKS:
            storage.remove(claim)
        surroundings.sleep(PAUSE_S * (1 + surroundings.unit()))
    raise ArtifactError(f"{path}: others change it all the time; run this again")


def _claim(storage: Storage, folder: str, raw: bytes, token: str) -> bool:
    """Make `raw` the next manifest. False: somebody else is at it, or has swept our draft away."""
    content = Content(hashlib.sha256(raw).hexdigest(), len(raw))
    draft = temporary(folder, NAME, content.sha256, token, replaces=True)
    is_written = False
    try:
        storage.write(draft, (raw,))
        is_written = True
        verify(storage, draft, content, lambda stage, done, total: None)
        if storage.rename(draft, f"{folder}/{NEXT}"):
            return True
    except BaseException as error:
        if is_written and isinstance(error, ArtifactError) and storage.look(draft) is None:
            return False
        with contextlib.suppress(KmError):
            storage.remove(draft)
        raise
    storage.remove(draft)
    return False


def _sweep(storage: Storage, folder: str) -> None:
    """Remove every draft: those who are at work make another, and the dead make none."""
    with contextlib.suppress(KmError):
        list(sweep(storage, (one for one in leftovers(storage, folder) if one.name == NAME)))


def _publish(storage: Storage, folder: str, before: Entry | None) -> bool:
    """Put the next manifest in place of `before`. False: that was not the last one any more, or we were taken for
    dead."""
    path, claim = f"{folder}/{NAME}", f"{folder}/{NEXT}"
    try:
        if storage.look(path) == before:
            if storage.replace(claim, path):
                return True
            raise ArtifactError(f"{path}: this server cannot replace a file in one step (HttpFS cannot)")
    except BaseException as error:
        if isinstance(error, ArtifactError) and storage.look(claim) is None:
            return False
        with contextlib.suppress(KmError):
            storage.remove(claim)
        raise
    storage.remove(claim)
    return False


def add(record: Record) -> Edit:
    """The record, in place of another content's of its path; one of this content tells who published it first."""

    def edit(records: tuple[Record, ...]) -> Iterable[Record]:
        if any((one.path, one.sha256) == (record.path, record.sha256) for one in records):
            return records
        return (*(one for one in records if one.path != record.path), record)

    return edit


def drop(paths: Iterable[str]) -> Edit:
    gone = frozenset(paths)
    return lambda records: [record for record in records if record.path not in gone]


def _read(storage: Storage, folder: str, entry: Entry | None) -> tuple[Record, ...]:
    path = f"{folder}/{NAME}"
    if entry is None:
        return ()
    if entry.is_folder or entry.size_bytes > MAX_BYTES:
        raise ArtifactError(f"{path} is no manifest: a folder, or more than {MAX_BYTES >> 20} MiB; remove it")
    return decode(b"".join(storage.read(path)), path)
