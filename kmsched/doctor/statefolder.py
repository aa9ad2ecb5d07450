"""Checks of the state folder: can the scheduler write there, and who holds it.

Reads only: taking the lock, even for a moment, could end a scheduler that starts just then.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from kmsched.clients.store import LOCK_NAME, REMEDIES, Record
from kmsched.doctor.findings import Found, NotChecked, Severity
from kmsched.doctor.records import FRAMEWORK_ID, TERM
from kmsched.doctor.subject import Subject, is_there

MIN_FREE_MIB = 16
LOW_FREE_MIB = 256


async def folder(subject: Subject) -> list[Found]:
    """Whether this user can write to the folder, and whether there is room."""
    path = subject.config.state_dir
    there = next(each for each in (path, *path.parents) if is_there(each))
    if not os.access(there, os.W_OK | os.X_OK):
        what = f"{path} cannot be written" if there == path else f"{path} is not there, and {there} cannot be written"
        return [Found(f"--state-dir: {what} by this user (uid {os.geteuid()})")]
    found = []
    room = os.statvfs(there)
    free_mib = room.f_bavail * room.f_frsize >> 20
    if free_mib < LOW_FREE_MIB or (room.f_files and not room.f_favail):
        severity = Severity.ERROR if free_mib < MIN_FREE_MIB or not room.f_favail else Severity.WARNING
        words = f"--state-dir={path}: {free_mib} MiB and {room.f_favail} files are free on its disk"
        found.append(Found(words, "make room: the framework id and the term must be written", severity))
    for record in (FRAMEWORK_ID, TERM):
        if why := _damage(path / record):
            found.append(Found(f"{path / record} {why}", REMEDIES[record]))
    return found


def _damage(path: Path) -> str | None:
    """Why the record can be read by nobody; None also where only this user cannot."""
    try:
        msgspec.json.decode(path.read_bytes(), type=Record)
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOTDIR) else f"cannot be read: {error}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"is no record: {error}"
    return None


async def lock(subject: Subject) -> list[Found]:
    """Who holds the folder's lock, by the kernel's list of locks."""
    path = subject.config.state_dir / LOCK_NAME
    try:
        inode = path.stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotChecked(f"{path}: {error.strerror}; run the doctor as the scheduler's user") from error
    where = f"{os.major(inode.st_dev):02x}:{os.minor(inode.st_dev):02x}:{inode.st_ino}"
    try:
        lines = subject.here.locks.read_text("ascii").splitlines()
    except OSError as error:
        raise NotChecked(f"{subject.here.locks}: {error.strerror}") from error
    holders = [words[4] for line in lines if len(words := line.split()) > 5 and words[5] == where]
    return [Found(f"--state-dir={subject.config.state_dir} is held by pid {pid}") for pid in holders]
