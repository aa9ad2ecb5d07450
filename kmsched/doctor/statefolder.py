"""Checks of the state folder: can the scheduler write there, who holds it, and is the framework id in it.

Reads only: taking the lock, even for a moment, could end a scheduler that starts just then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kmsched.artifacts import digests
from kmsched.clients.kube import Json
from kmsched.clients.store import LOCK_NAME, Record
from kmsched.config import SchedulerConfig
from kmsched.core.model import TASK_ID_ANNOTATION
from kmsched.core.taskid import parse_task_id
from kmsched.doctor.findings import Found, NotChecked, Severity
from kmsched.doctor.kubernetes import answering
from kmsched.doctor.subject import Subject, named
from kmsched.errors import ConfigRefused

KEY = "framework-id"
MIN_FREE_MIB = 16
LOW_FREE_MIB = 256
PAGE = 500
MAX_PAGES = 20
BOUND = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"


def stored_framework_id(config: SchedulerConfig) -> str | None:
    """None: there is none. NotChecked: the record cannot be read."""
    record = _record(config)
    return record.value or None if record else None


def kept_digests(config: SchedulerConfig) -> Mapping[str, str]:
    """URI -> SHA-256 of what was read once, because its URI names none. NotChecked: the record cannot be read."""
    record = _record(config, digests.KEY)
    try:
        return digests.from_record(record.value) if record else {}
    except ConfigRefused as error:
        raise NotChecked(str(error)) from error


def _record(config: SchedulerConfig, key: str = KEY) -> Record | None:
    path = config.state_dir / key
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotChecked(f"{path} cannot be read: {error.strerror}; run the doctor as the scheduler's user") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotChecked(f"{path} is no record: {error}") from error


async def folder(subject: Subject) -> list[Found]:
    """Whether this user can write to the folder, and whether there is room."""
    path = subject.config.state_dir
    there = next(each for each in (path, *path.parents) if each.exists())
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
    if why := _damage(path / KEY):
        found.append(Found(f"{path / KEY} {why}", "restore it from a backup; see exit code 13 in docs/operations.md"))
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


async def framework_id(subject: Subject) -> list[Found]:
    """Pods that are bound while the folder has no framework id: their tasks would be left behind."""
    config = subject.config
    if _record(config) is not None:  # an empty one is a reset, on purpose
        return []
    bound = await _bound_pods(subject)
    if not bound:
        return []
    return [Found(f"{config.state_dir} holds no framework id, and {len(bound)} pods are bound ({named(bound)})")]


async def _bound_pods(subject: Subject) -> list[str]:
    """Keys of pods that this scheduler has bound, as far as the first pages tell."""
    client = await answering(subject)
    chosen = f"spec.schedulerName={subject.config.scheduler_name},{BOUND}"
    query = {"fieldSelector": chosen, "limit": str(PAGE)}
    found: list[str] = []
    for _ in range(MAX_PAGES):
        page = await client.get("/api/v1/pods", query)
        metadata = [pod["metadata"] for pod in page.get("items") or ()]
        found += [f"{each['namespace']}/{each['name']}" for each in metadata if _names_its_task(each)]
        following = page.get("metadata", {}).get("continue")
        if not following or found:
            break
        query["continue"] = following
    return found


def _names_its_task(metadata: Json) -> bool:
    task = parse_task_id((metadata.get("annotations") or {}).get(TASK_ID_ANNOTATION, ""))
    return task is not None and task.pod_uid == metadata["uid"]
