"""Publishing one file so that no reader can ever see another file or a part of it under its name.

Knows the order of the steps and what each proves: write under a temporary name, verify, rename.  The name is the
file's content (`DIR/<sha256>/<name>`), or, with `exact`, one that the caller wants, and then the file that had it is
replaced in one step.

Several uploads of one file may run at once.  Every temporary file with its name and digest has the same content to
come, so whoever has seen the final file whole may remove all of them, and an upload that loses its own looks for the
final file before it complains.  No clock and no lock is needed to tell a dead upload of the same file from a slow one;
those of other files go by their age.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kmsched.artifacts import manifest
from kmsched.artifacts.hdfs_checksum import crcs_of
from kmsched.artifacts.storage import (
    LEFT_AFTER_MS,
    Content,
    Leftover,
    Progress,
    Storage,
    leftovers,
    sweep,
    temporary,
    verify,
)
from kmsched.errors import (
    ArtifactError,
    KmError,
    LocalFileUnreadable,
    StorageUnreachable,
    UsageError,
    VerificationFailed,
)

CHUNK_BYTES = 1 << 20
#: of a file of 2 GiB; a longer one is read back, so that memory stays bounded
MAX_CRC_BYTES = 16 << 20
#: what a fetcher, a shell and a URI take without quoting
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@-]*")


@dataclass(frozen=True, slots=True)
class Plan:
    """One file and where it belongs. `folder` takes its temporary files."""

    source: Path
    name: str
    folder: str
    target: str
    content: Content
    is_exact: bool = False

    def temporary(self, token: str) -> str:
        return temporary(self.folder, self.name, self.content.sha256, token, replaces=self.is_exact)

    def is_ours(self, leftover: Leftover) -> bool:
        """Whether some upload of this file to this place has made it."""
        mine = (self.name, self.content.sha256, self.is_exact)
        return (leftover.name, leftover.sha256, leftover.is_replacement) == mine


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What is now in the storage; `removed` names temporary files of other uploads, dead or slower."""

    plan: Plan
    sent: bool
    removed: tuple[str, ...] = ()


def plan_of(source: Path, folder: str, progress: Progress) -> Plan:
    """Read the file once for its digest, its place is then below `folder`.

    UsageError: a name that cannot be in a URI as it is.  LocalFileUnreadable.
    """
    if not _PLAIN_NAME.fullmatch(source.name):
        raise UsageError(f"{str(source)!r}: the name may have letters, digits and _.+=@- only; rename the file")
    content, folder = content_of(source, progress), folder.rstrip("/")
    return Plan(source, source.name, folder, f"{folder}/{content.sha256}/{source.name}", content)


def exact_plan_of(source: Path, path: str, progress: Progress) -> Plan:
    """The file shall be at `path` itself. LocalFileUnreadable; UsageError: the path is none of a file."""
    folder, _, name = path.rpartition("/")
    if not _PLAIN_NAME.fullmatch(name) or name == manifest.NAME:
        raise UsageError(f"{path!r} is no path of a file, or that of the manifest; write one like /km")
    return Plan(source, name, folder, path, content_of(source, progress), is_exact=True)


def content_of(source: Path, progress: Progress) -> Content:
    """Read it once. LocalFileUnreadable."""
    digest, size, crcs = hashlib.sha256(), 0, bytearray()
    for chunk in chunks_of(source, "reading", progress):
        digest.update(chunk)
        if len(crcs) < MAX_CRC_BYTES:
            crcs += crcs_of(chunk)
        size += len(chunk)
    return Content(digest.hexdigest(), size, bytes(crcs) if len(crcs) < MAX_CRC_BYTES else b"")


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


def upload(storage: Storage, plan: Plan, token: str, now_ms: int, progress: Progress) -> Uploaded:
    """Make the file be there under its final name, whole, or leave what was there as it was.

    `token`: 16 random hex digits.  `now_ms`: since 1970.  VerificationFailed: another content is there, or what was
    stored is not what was sent; and all errors of the storage.
    """
    sent = False
    if _is_there(storage, plan, progress):
        # whoever removes old artifacts must see that this one is wanted again
        with contextlib.suppress(KmError):
            storage.touch(plan.target, now_ms)
    else:
        storage.make_folder(plan.folder or "/")
        sent = _send(storage, plan, plan.temporary(token), progress)
    return Uploaded(plan, sent, tuple(_sweep(storage, plan, now_ms)))


def _send(storage: Storage, plan: Plan, temporary: str, progress: Progress) -> bool:
    """True: the final file is ours. False: another upload was first."""
    try:
        _write(storage, plan, temporary, progress)
        verify(storage, temporary, plan.content, progress)
        if _give_name(storage, plan, temporary):
            return True
        storage.remove(temporary)
        if not _is_there(storage, plan, progress):
            raise ArtifactError(f"{temporary} could not be renamed to {plan.target}, and nothing is there; try again")
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
    """The body, and once more if a server went away or hung in the middle: the storage then passes that one by."""
    try:
        storage.write(temporary, chunks_of(plan.source, "sending", progress))
    except StorageUnreachable:
        storage.write(temporary, chunks_of(plan.source, "sending again", progress))


def _give_name(storage: Storage, plan: Plan, temporary: str) -> bool:
    if not plan.is_exact:
        # not earlier: an upload that dies leaves no empty folder
        storage.make_folder(plan.target.rpartition("/")[0])
        return storage.rename(temporary, plan.target)
    if not storage.replace(temporary, plan.target):
        raise ArtifactError(
            f"{plan.target} is there, and this server cannot replace a file in one step (HttpFS cannot);"
            " give the NameNodes' own addresses, or remove the file first"
        )
    return True


def _is_there(storage: Storage, plan: Plan, progress: Progress) -> bool:
    found = storage.look(plan.target)
    if found is None:
        return False
    if found.is_folder:
        raise ArtifactError(f"{plan.target} is a folder, not a file; remove it or use another name")
    try:
        verify(storage, plan.target, plan.content, progress)
    except VerificationFailed as error:
        if plan.is_exact:
            return False
        raise VerificationFailed(f"{error}. It is not ours to replace: remove it, then upload again") from error
    return True


def _sweep(storage: Storage, plan: Plan, now_ms: int) -> Iterator[str]:
    """Remove what uploads that died have left; only after the final file was seen whole."""
    with contextlib.suppress(KmError):
        found = leftovers(storage, plan.folder)
        yield from sweep(storage, (one for one in found if plan.is_ours(one) or is_old(one, now_ms)))


def is_old(leftover: Leftover, now_ms: int) -> bool:
    return now_ms - leftover.modified_ms > LEFT_AFTER_MS
