"""Publishing one file under a name that is its content, so that no reader can ever see another file or a part of it.

Knows the order of the steps and what each proves.  It does not know HDFS: a `Storage` does, and says with the errors
of `kmsched.errors` what went wrong.

Several uploads of one file may run at once.  Every temporary file beside the final one has the same content to come,
so whoever has seen the final file whole may remove all of them, and an upload that loses its own looks for the final
file before it complains.  No clock and no lock is needed to tell a dead upload from a slow one.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kmsched.errors import (
    ArtifactError,
    KmError,
    LocalFileUnreadable,
    StorageUnreachable,
    UsageError,
    VerificationFailed,
)

CHUNK_BYTES = 1 << 20
#: what a fetcher, a shell and a URI take without quoting
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@-]*")
_TOKEN = "[0-9a-f]{16}"

#: stage, bytes done, bytes in all
Progress = Callable[[str, int, int], None]


class Storage(Protocol):
    """Where artifacts are kept; paths are absolute. Every method raises ArtifactError and its kinds."""

    def length(self, path: str) -> int | None:
        """Bytes of the file that readers see; None: there is nothing."""
        ...

    def names(self, folder: str) -> list[str]: ...

    def make_folder(self, folder: str) -> None: ...

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the file anew. After an error any part of it may be there, and look complete."""
        ...

    def read(self, path: str) -> Iterator[bytes]: ...

    def rename(self, source: str, target: str) -> bool:
        """False: the target exists, or the source does not."""
        ...

    def remove(self, path: str) -> None:
        """A file that is not there is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """One file and where it belongs."""

    source: Path
    name: str
    folder: str
    sha256: str
    size_bytes: int

    @property
    def target(self) -> str:
        return f"{self.folder}/{self.name}"

    def temporary(self, token: str) -> str:
        return f"{self.folder}/.{self.name}.{token}.tmp"

    def is_temporary(self, name: str) -> bool:
        """Whether `name` in the folder was made by some upload of this file."""
        return re.fullmatch(rf"\.{re.escape(self.name)}\.{_TOKEN}\.tmp", name) is not None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What is now in the storage; `removed` names temporary files of other uploads, dead or slower."""

    plan: Plan
    sent: bool
    removed: tuple[str, ...] = ()


def plan_of(source: Path, folder: str, progress: Progress) -> Plan:
    """Read the file once for its digest.

    UsageError: a name that cannot be in a URI as it is.  LocalFileUnreadable.
    """
    if not _PLAIN_NAME.fullmatch(source.name):
        raise UsageError(f"{str(source)!r}: the name may have letters, digits and _.+=@- only; rename the file")
    digest, size = hashlib.sha256(), 0
    for chunk in chunks_of(source, "reading", progress):
        digest.update(chunk)
        size += len(chunk)
    sha256 = digest.hexdigest()
    return Plan(source, source.name, f"{folder.rstrip('/')}/{sha256}", sha256, size)


def chunks_of(source: Path, stage: str, progress: Progress) -> Iterator[bytes]:
    """The file in pieces; LocalFileUnreadable, also in the middle."""
    done = 0
    try:
        with source.open("rb") as file:
            total = source.stat().st_size
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                progress(stage, done, total)
    except OSError as error:
        raise LocalFileUnreadable(f"{source}: {error.strerror or error}, after {done} bytes") from error


def upload(storage: Storage, plan: Plan, token: str, progress: Progress) -> Uploaded:
    """Make the file be there under its final name, whole, or leave nothing under that name.

    `token`: 16 random hex digits.  VerificationFailed: another content is there, or what was stored is not what was
    sent; and all errors of the storage.
    """
    sent = False
    if not _is_there(storage, plan, progress):
        storage.make_folder(plan.folder)
        sent = _send(storage, plan, plan.temporary(token), progress)
    return Uploaded(plan, sent, tuple(_sweep(storage, plan)))


def _send(storage: Storage, plan: Plan, temporary: str, progress: Progress) -> bool:
    """True: the final file is ours. False: another upload was first."""
    try:
        _write(storage, plan, temporary, progress)
        _verify(storage, plan, temporary, progress)
        if storage.rename(temporary, plan.target):
            return True
        storage.remove(temporary)
        if not _is_there(storage, plan, progress):
            raise ArtifactError(f"{temporary} could not be renamed to {plan.name}, and nothing is there; try again")
    except BaseException as error:
        with contextlib.suppress(KmError):
            storage.remove(temporary)
        if isinstance(error, ArtifactError):
            # another upload may have come first and swept ours away; else the first error tells more than a second
            with contextlib.suppress(KmError):
                if _is_there(storage, plan, progress):
                    return False
        raise
    return False


def _write(storage: Storage, plan: Plan, temporary: str, progress: Progress) -> None:
    try:
        storage.write(temporary, chunks_of(plan.source, "sending", progress))
    except StorageUnreachable:
        # a DataNode that refuses in mid-body closes the connection, and its reason is lost: it says it again to a
        # body of one byte, which is not lost
        storage.write(temporary, (b"?",))
        raise


def _is_there(storage: Storage, plan: Plan, progress: Progress) -> bool:
    if storage.length(plan.target) is None:
        return False
    try:
        _verify(storage, plan, plan.target, progress)
    except VerificationFailed as error:
        raise VerificationFailed(f"{error}. It is not ours to replace: remove it, then upload again") from error
    return True


def _verify(storage: Storage, plan: Plan, path: str, progress: Progress) -> None:
    """Length first, for a cheap and plain message; then every byte, because HDFS calls a file complete whose writer
    died in the middle."""
    length = storage.length(path)
    if length != plan.size_bytes:
        found = "nothing" if length is None else f"{length} bytes"
        raise VerificationFailed(f"{path}: {found} stored, {plan.size_bytes} bytes expected")
    digest, done = hashlib.sha256(), 0
    for chunk in storage.read(path):
        digest.update(chunk)
        done += len(chunk)
        progress("verifying", done, plan.size_bytes)
    if digest.hexdigest() != plan.sha256:
        raise VerificationFailed(f"{path}: sha256 {digest.hexdigest()} stored, {plan.sha256} expected")


def _sweep(storage: Storage, plan: Plan) -> Iterator[str]:
    """Remove what uploads that died have left; only after the final file was seen whole."""
    with contextlib.suppress(KmError):
        for name in filter(plan.is_temporary, storage.names(plan.folder)):
            storage.remove(f"{plan.folder}/{name}")
            yield name
