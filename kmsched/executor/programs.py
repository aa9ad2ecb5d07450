"""Programs that executors have fetched, kept on the agent under their SHA-256: `<root>/<sha256>/<name>`.

Knows the folder, its locks and its bound: what is there is used only after its content was checked, and appears whole
or not at all.  What others have put there (a km file, say) has no lock and is never removed.  It blocks: callers run
it in a thread (`executor.fetching`).  It does not know how a URI is read.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from kmsched.artifact_uri import sha256_of, without_digest
from kmsched.clients.fetch import without_secrets
from kmsched.errors import ArtifactError, ConfigRefused, NoSpace, VerificationFailed

#: what is kept beside the program that is being fetched
KEPT_BYTES = 2 << 30
#: what was used in this time is kept whatever it takes: somebody may be about to run it
YOUNG_S = 24 * 3600.0
LOCK_NAME = ".lock"
PART_SUFFIX = ".part"
#: a quarter of an hour: another executor fetches the same file
LOCK_TRIES = 1800
LOCK_POLL_S = 0.5
CHUNK_BYTES = 1 << 20
MODE = 0o755
_SHA256 = re.compile(rb"[0-9a-f]{64}")

log = logging.getLogger(__name__)

#: the content of a URI in pieces; ArtifactError and its kinds when it cannot be read
Read = Callable[[str], Iterator[bytes]]


@dataclass(slots=True)
class Progress:
    """Of one call of `keep`, shared between threads; set `is_unwanted` to end it soon."""

    done_bytes: int = 0
    is_unwanted: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder `root`; `wall` gives seconds since the epoch, `proc` is looked at for what runs."""

    root: Path
    read: Read
    wall: Callable[[], float] = time.time
    proc: Path = Path("/proc")
    kept_bytes: int = KEPT_BYTES

    def keep(self, uri: str, progress: Progress) -> Path:
        """The program that `uri` and its digest name, checked, executable; fetched only if it is not there.

        ArtifactError and its kinds: it cannot be read, is another file, or there is no room; ConfigRefused: the URI
        names no digest or file, or the folder cannot be written to.
        """
        digest, name = sha256_of(uri), PurePosixPath(urlsplit(without_digest(uri)).path).name
        if digest is None or not name or name.startswith("."):
            raise ConfigRefused(f"{without_secrets(uri)} does not name a file and its SHA-256: add #sha256=<digest>")
        folder = self.root / digest
        if without_digest(uri) == f"file://{folder / name}":
            return self._in_place(folder / name, digest)
        try:
            lock = _lock(folder, progress)
            try:
                os.utime(folder / LOCK_NAME)
                path = folder / name
                if not is_right(path, digest):
                    self._fetch(uri, digest, path, progress)
                return path
            finally:
                os.close(lock)
        except OSError as error:
            raise _refusal(error, folder) from error

    def _in_place(self, path: Path, digest: str) -> Path:
        """What the agent's administrator has put right here is theirs to mend, and never ours to remove."""
        if is_right(path, digest):
            return path
        found = _sha256(self.read(f"file://{path}"))
        why = _odd(path) if found == digest else f"sha256 {found} is there, {digest} expected"
        raise VerificationFailed(
            f"{path}: {why}; put the right file there, which belongs to root and which nobody else may write to"
        )

    def _fetch(self, uri: str, digest: str, path: Path, progress: Progress) -> None:
        if path.exists():
            log.warning("%s is not what its folder says, and is fetched again", path)
        for left in path.parent.glob(f".*{PART_SUFFIX}"):  # we hold the lock: nobody writes it
            left.unlink()
        try:
            self.prune(digest)
        except OSError as error:  # another executor removes the same, say
            log.warning("what is kept below %s could not be looked through: %s", self.root, error)
        part = path.with_name(f".{path.name}{PART_SUFFIX}")
        try:
            found = self._write(uri, part, progress)
            if found != digest:
                raise VerificationFailed(
                    f"{without_secrets(uri)}: sha256 {found} fetched, {digest} expected ({progress.done_bytes} bytes);"
                    " publish it again and name the URI that km-upload prints; nothing of it was run"
                )
            # no fsync: what is there is checked before each use
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, uri: str, part: Path, progress: Progress) -> str:
        """The SHA-256 of what was written."""
        digest = hashlib.sha256()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            for piece in self.read(uri):
                if progress.is_unwanted.is_set():
                    raise ArtifactError(f"{without_secrets(uri)}: no longer wanted")
                file.write(piece)
                digest.update(piece)
                progress.done_bytes += len(piece)
            os.fchmod(file.fileno(), MODE)
        return digest.hexdigest()

    def prune(self, wanted: str) -> None:
        """Remove what was used longest ago, above the bound; never `wanted`, what is young, or what runs."""
        kept = sorted((_used_s(folder), folder) for folder in self.root.iterdir() if _is_ours(folder))
        sizes = {folder: _size(folder) for _, folder in kept}
        total = sum(sizes.values())
        if total <= self.kept_bytes:
            return
        running = mentioned(self.proc)
        for used_s, folder in kept:
            if total <= self.kept_bytes or self.wall() - used_s < YOUNG_S:
                return
            if folder.name != wanted and folder.name not in running and _remove(folder):
                log.info("%s is removed: not used for %.0f h", folder, (self.wall() - used_s) / 3600)
                total -= sizes[folder]


def is_right(path: Path, digest: str) -> bool:
    """Is the content the one named, and the file one that nobody else can change? Its mode is put right."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            return False
        if stat.S_IMODE(status.st_mode) & 0o022:
            return False  # somebody may have it open for writing
        if _sha256(iter(lambda: file.read(CHUNK_BYTES), b"")) != digest:
            return False
        if stat.S_IMODE(status.st_mode) != MODE:
            os.fchmod(descriptor, MODE)
    return True


def _odd(path: Path) -> str:
    """What keeps a file of the right content from being used."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if status.st_uid not in (0, os.geteuid()):
        return f"it belongs to uid {status.st_uid}"
    return f"others than its owner may write to it (mode {stat.S_IMODE(status.st_mode):04o})"


def _sha256(pieces: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def mentioned(proc: Path) -> frozenset[str]:
    """Every SHA-256 in the command line or program path of a process."""
    found: set[bytes] = set()
    for process in proc.iterdir():
        if process.name.isdigit():
            try:
                found.update(_SHA256.findall((process / "cmdline").read_bytes()))
                found.update(_SHA256.findall(os.fsencode((process / "exe").readlink())))
            except OSError:
                continue  # it has ended, or is a thread of the kernel
    return frozenset(digest.decode() for digest in found)


def _lock(folder: Path, progress: Progress) -> int:
    """The descriptor that holds the folder's lock; ArtifactError when it stays taken."""
    path = folder / LOCK_NAME
    for _ in range(LOCK_TRIES):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = _try_lock(path)
        if descriptor is not None:
            return descriptor
        if progress.is_unwanted.wait(LOCK_POLL_S):
            break
    raise ArtifactError(f"{path} is held by another executor that fetches the same file: see what it does, or end it")


def _try_lock(path: Path) -> int | None:
    """None: taken, or its folder was removed meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _remove(folder: Path) -> bool:
    """False: somebody uses it now, or it does not go."""
    lock = _try_lock(folder / LOCK_NAME)
    if lock is None:
        return False
    try:
        files = sorted(folder.iterdir(), key=lambda path: path.name == LOCK_NAME)  # the lock last
        for path in files:
            path.unlink()
        folder.rmdir()
    except OSError as error:
        log.warning("%s cannot be removed: %s", folder, error)
        return False
    finally:
        os.close(lock)
    return True


def _is_ours(folder: Path) -> bool:
    return _SHA256.fullmatch(folder.name.encode()) is not None and (folder / LOCK_NAME).is_file()


def _used_s(folder: Path) -> float:
    return (folder / LOCK_NAME).stat().st_mtime


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.iterdir())


def _refusal(error: OSError, folder: Path) -> Exception:
    where = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{where}: {error.strerror}; make room on this agent")
    return ConfigRefused(f"{where}: {error.strerror or error}; the executor must run as root and own {folder.parent}")
