"""The state folder of a scheduler without `--ha`: small records, created once or put under a guard, behind one lock.

Knows files, locks and what a crash may leave of them: a record is replaced by rename after it was synced, so a reader
sees the old or the new one and never a half.  It refuses to know what the records mean, and it repairs nothing: a
record that cannot be read is refused by name, because guessing at a framework id would orphan running pods.

A key is a name, or a folder and a name (`executors/<sha256>`); it is a file of the state folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from kmsched.errors import ConfigRefused, Conflict

SCHEMA = 1
MAX_RECORD_BYTES = 1 << 20
_NAME = r"[a-z0-9][a-z0-9-]{0,63}"
KEY_PATTERN = re.compile(rf"(?:{_NAME}/)?{_NAME}")
LOCK_NAME = "lock"
#: a child between fork and exec has a copy of a lock that its parent has given back: that ends within milliseconds
LOCK_TRIES, LOCK_PAUSE_S = 5, 0.05
#: drawn anew at each start of the host
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: key, or its folder -> what an operator does when its record cannot be read
REMEDIES: Mapping[str, str] = {
    "framework-id": "restore it from a backup, or write it again with the framework id that the Mesos master's page"
    " shows; do not just delete it while pods run, they would be left to a framework that nobody drives",
    "term": "restore it from a backup, or write it again with a number above every term in the taskId annotations"
    " of the pods",
    "executors": "remove it: it says only how executors differ, and a scheduler that has this spec stores it again",
}
REMEDY_DEFAULT = "restore it from a backup"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value as it is stored. `revision` counts the writes of its key, from 1."""

    schema: int
    revision: int
    value: str


class Store(Protocol):
    """Records by key; shared by the folder and, with `--ha`, by etcd."""

    async def get(self, key: str) -> Record | None: ...

    async def create(self, key: str, value: str) -> Record:
        """Write a key that does not exist; Conflict when it does."""
        ...

    async def put(self, key: str, value: str, revision: int) -> Record:
        """Replace the record whose revision is `revision` (0: there is none yet); Conflict when it is another."""
        ...

    async def list(self, prefix: str) -> tuple[str, ...]:
        """Every key that begins with `prefix`, sorted. Records are not read: one may be unreadable."""
        ...

    def watch(self, prefix: str) -> AsyncGenerator[str, None]:
        """Each key that begins with `prefix` and is there, then each one again that is written or deleted; never ends.

        A key that is written several times before the reader comes back is told once: its newest record is read with
        `get`, and nothing older matters.
        """
        ...


class FolderStore:
    """`Store` in a folder that this process holds the lock of, from construction until `close`.

    ConfigRefused: the folder cannot be made or written, another process holds it, or a record cannot be read.
    Writes return when they are on the disk.  The lock admits one writer, so `watch` tells of this object's writes.

    `inherited_fd`: the lock of a process that still has it, too, and writes; this one writes after `own`.
    """

    def __init__(self, folder: Path, inherited_fd: int | None = None) -> None:
        self.folder = folder
        self._watches: list[_Watch] = []
        self._is_writer = inherited_fd is None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_fd = _opened(folder / LOCK_NAME, inherited_fd)
        except OSError as error:
            raise ConfigRefused(
                f"--state-dir {folder}: cannot be used: {error.strerror or error} ({error.filename});"
                " name a folder that the scheduler's user may write"
            ) from error
        try:
            if self._is_writer:
                _take(self._lock_fd, folder)
        except BaseException:
            os.close(self._lock_fd)
            raise

    @property
    def lock_fd(self) -> int:
        """For a process that inherits the lock: it is held until both have closed it."""
        return self._lock_fd

    @property
    def lock_id(self) -> str:
        """No other lock has it, on a copy of this disk neither; "" where that cannot be told."""
        try:
            boot = BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return ""
        found = os.fstat(self._lock_fd)
        return f"{boot}:{found.st_dev:x}:{found.st_ino:x}"

    def own(self) -> None:
        """The process that the lock was inherited from writes no more; from now on this one does."""
        _take(self._lock_fd, self.folder)
        self._is_writer = True

    def close(self) -> None:
        """Give the lock back. Nothing may be written afterwards."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    async def get(self, key: str) -> Record | None:
        return self._read(key)

    async def create(self, key: str, value: str) -> Record:
        return self._write(key, value, 0)

    async def put(self, key: str, value: str, revision: int) -> Record:
        return self._write(key, value, revision)

    async def list(self, prefix: str) -> tuple[str, ...]:
        return self._keys(prefix)

    async def watch(self, prefix: str) -> AsyncGenerator[str, None]:
        watch = _Watch(prefix, dict.fromkeys(self._keys(prefix)))
        self._watches.append(watch)
        try:
            while True:
                while watch.keys:
                    key = next(iter(watch.keys))
                    del watch.keys[key]
                    yield key
                watch.has_keys.clear()
                await watch.has_keys.wait()
        finally:
            self._watches.remove(watch)

    def _keys(self, prefix: str) -> tuple[str, ...]:
        try:
            paths = [path for pattern in ("*", "*/*") for path in self.folder.glob(pattern) if path.is_file()]
        except OSError as error:
            raise ConfigRefused(
                f"{self.folder}: cannot be listed: {error.strerror or error}; give the scheduler's user the right to"
            ) from error
        keys = (path.relative_to(self.folder).as_posix() for path in paths)
        return tuple(sorted(key for key in keys if is_key(key) and key.startswith(prefix)))

    def _path(self, key: str) -> Path:
        if not is_key(key):
            raise ValueError(f"{key!r} is no key of the store")
        return self.folder / key

    def _read(self, key: str) -> Record | None:
        path = self._path(key)
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, key, error.strerror or str(error)) from error
        if len(raw) > MAX_RECORD_BYTES:
            raise _unreadable(path, key, f"longer than {MAX_RECORD_BYTES} bytes")
        try:
            schema = msgspec.json.decode(raw, type=_SchemaOnly).schema
            if schema != SCHEMA:
                raise _unreadable(path, key, f"schema {schema}, and this version reads schema {SCHEMA}")
            record = msgspec.json.decode(raw, type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(path, key, f"no record ({len(raw)} bytes, {error})") from error
        if record.revision < 1:
            raise _unreadable(path, key, f"revision {record.revision} is below 1")
        return record

    def _write(self, key: str, value: str, revision: int) -> Record:
        if self._lock_fd < 0:
            raise RuntimeError(f"state folder {self.folder} is closed")
        path = self._path(key)
        if not self._is_writer:
            raise ConfigRefused(
                f"{path}: {key} is not stored, because the scheduler that this process shall replace still leads;"
                " end that one and start it again, if this is to change"
            )
        current = self._read(key)
        found = current.revision if current else 0
        if found != revision:
            raise Conflict(f"{path}: revision {found} is stored, revision {revision} was expected; read it again")
        record = Record(SCHEMA, revision + 1, value)
        try:
            if path.parent != self.folder and not path.parent.exists():
                path.parent.mkdir(mode=0o700)
                sync_folder(self.folder)
            replace_synced(path, msgspec.json.encode(record) + b"\n")
        except OSError as error:
            raise ConfigRefused(
                f"{path}: cannot be written: {error.strerror or error}; {key} {value!r} is not stored;"
                " make room or give the scheduler's user the right to write, then start it again"
            ) from error
        for watch in self._watches:
            watch.written(key)
        return record


@dataclass(slots=True)
class _Watch:
    """Keys that its reader has not been told of; never more than there are records."""

    prefix: str
    keys: dict[str, None]
    has_keys: asyncio.Event = field(default_factory=asyncio.Event)

    def written(self, key: str) -> None:
        if key.startswith(self.prefix):
            self.keys[key] = None
            self.has_keys.set()


class _SchemaOnly(msgspec.Struct):
    """Read first, so that a record of a later version is called that and not garbage."""

    schema: int


def replace_synced(path: Path, content: bytes) -> None:
    """Put `content` in place of the file, whole or not at all, and on the disk before returning. OSError."""
    # one fixed name: the lock admits one writer, and what a killed one left is simply overwritten
    draft = path.with_name(f".{path.name}.new")
    # whoever may write in the folder must not lead root to another file
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        give_to_owner_of(path.parent, fd)
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.replace(path)
    sync_folder(path.parent)


def give_to_owner_of(folder: Path, fd: int) -> None:
    """What root writes there, as by `km framework`, is for the user whose folder it is. OSError."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Put what the folder lists on the disk. OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_key(key: str) -> bool:
    return KEY_PATTERN.fullmatch(key) is not None and key != LOCK_NAME


def _opened(path: Path, inherited_fd: int | None) -> int:
    """OSError. An inherited descriptor must be of this very file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if inherited_fd is None:
        give_to_owner_of(path.parent, fd)
        return fd
    is_same = os.path.samestat(os.fstat(fd), os.fstat(inherited_fd))
    os.close(fd)
    if not is_same:
        raise OSError(errno.EBUSY, "the process that shall be replaced has another state folder", str(path))
    os.set_inheritable(inherited_fd, False)
    return inherited_fd


def _take(fd: int, folder: Path) -> None:
    """Lock the folder for this process and leave its pid for those who come too late."""
    try:
        for _ in range(LOCK_TRIES - 1):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(LOCK_PAUSE_S)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise ConfigRefused(
            f"--state-dir {folder}: in use by another scheduler, pid {holder};"
            " stop that one first, or give this one a folder and a framework name of its own"
        ) from error
    except OSError as error:
        raise ConfigRefused(
            f"--state-dir {folder}: cannot be locked: {error.strerror or error}; name a folder on a local disk"
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _unreadable(path: Path, key: str, why: str) -> ConfigRefused:
    remedy = REMEDIES.get(key.partition("/")[0], REMEDY_DEFAULT)
    example = Record(SCHEMA, 1, "...")
    return ConfigRefused(
        f"{path}: cannot be read: {why}; nothing was changed; {remedy}"
        f" (its form is {msgspec.json.encode(example).decode()})"
    )
