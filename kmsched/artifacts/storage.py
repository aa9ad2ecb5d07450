"""What artifacts need of the place where they are kept, and the names that uploads use there while they work.

Knows paths and the form of temporary names.  It does not know HDFS: whatever has these methods will do, and says with
the errors of `kmsched.errors` what went wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kmsched.artifacts.hdfs_checksum import Checksum, proves
from kmsched.errors import ArtifactError, KmError, VerificationFailed

#: temporary files of other content go when they are older: nobody can tell a dead upload from a slow one
LEFT_AFTER_MS = 3_600_000

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<sha256>[0-9a-f]{64})\.[0-9a-f]{16}\.(?P<ending>tmp|new)")

#: stage, bytes done, bytes in all
Progress = Callable[[str, int, int], None]


class Entry(Protocol):
    """One file or folder."""

    @property
    def name(self) -> str: ...

    @property
    def is_folder(self) -> bool: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def modified_ms(self) -> int:
        """Since 1970, by the storage's clock; a rename leaves it alone."""
        ...

    @property
    def owner(self) -> str: ...


class Storage(Protocol):
    """Where artifacts are kept; paths are absolute. Every method raises ArtifactError and its kinds."""

    def look(self, path: str) -> Entry | None:
        """What readers see; None: there is nothing."""
        ...

    def entries(self, folder: str) -> Sequence[Entry]:
        """What is in the folder, nothing if it is not there."""
        ...

    def make_folder(self, folder: str) -> None: ...

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the file anew. After an error any part of it may be there, and look complete."""
        ...

    def read(self, path: str) -> Iterator[bytes]: ...

    def checksum(self, path: str) -> Checksum:
        """HDFS's own. ArtifactError also when this storage has none."""
        ...

    def rename(self, source: str, target: str) -> bool:
        """False: the target exists, or the source does not."""
        ...

    def replace(self, source: str, target: str) -> bool:
        """Rename onto a file that may be there, in one step. False: this storage cannot."""
        ...

    def touch(self, path: str, modified_ms: int) -> None: ...

    def remove(self, path: str) -> None:
        """A file that is not there is no error, nor is a folder that is not empty: it stays."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """What a file shall be. `crcs`: of every 512 bytes, empty when they are not known."""

    sha256: str
    size_bytes: int
    crcs: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A temporary file of an upload, running or dead."""

    path: str
    name: str
    sha256: str
    is_replacement: bool
    modified_ms: int


def temporary(folder: str, name: str, sha256: str, token: str, *, replaces: bool) -> str:
    """Path of a temporary file for `folder/.../name`. `token`: 16 random hex digits. `replaces`: it will be renamed
    onto a file that may be there."""
    return f"{folder}/.{name}.{sha256}.{token}.{'new' if replaces else 'tmp'}"


def leftovers(storage: Storage, folder: str) -> list[Leftover]:
    """All temporary files in the folder."""
    found = []
    for entry in storage.entries(folder):
        match = _LEFTOVER.fullmatch(entry.name)
        if match and not entry.is_folder:
            path = f"{folder}/{entry.name}"
            found.append(Leftover(path, match["name"], match["sha256"], match["ending"] == "new", entry.modified_ms))
    return found


def sweep(storage: Storage, dead: Iterable[Leftover]) -> Iterator[str]:
    """Remove them, as far as it goes; the names that went."""
    for leftover in dead:
        with contextlib.suppress(KmError):
            storage.remove(leftover.path)
            yield leftover.path.rpartition("/")[2]


def verify(storage: Storage, path: str, content: Content, progress: Progress) -> None:
    """Length first, for a cheap and plain message: HDFS calls a file complete whose writer died in the middle. Then
    HDFS's own checksum, or every byte where that proves nothing. VerificationFailed."""
    entry = storage.look(path)
    if entry is None or entry.is_folder or entry.size_bytes != content.size_bytes:
        found = "nothing" if entry is None else "a folder" if entry.is_folder else f"{entry.size_bytes} bytes"
        raise VerificationFailed(f"{path}: {found} stored, {content.size_bytes} bytes expected")
    if content.crcs:
        with contextlib.suppress(ArtifactError):
            if proves(storage.checksum(path), content.crcs):
                progress("verifying", content.size_bytes, content.size_bytes)
                return
    stored = digest_of(storage, path, content.size_bytes, progress)
    if stored != content.sha256:
        raise VerificationFailed(f"{path}: sha256 {stored} stored, {content.sha256} expected")


def digest_of(storage: Storage, path: str, size_bytes: int, progress: Progress) -> str:
    """SHA-256 of what is stored, all of it read."""
    digest, done = hashlib.sha256(), 0
    for chunk in storage.read(path):
        digest.update(chunk)
        done += len(chunk)
        progress("verifying", done, size_bytes)
    return digest.hexdigest()
