"""What is stored of a scheduler, read only: in its state folder, or in etcd where several share it.

Knows both places and the form of a record; who may write them is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import msgspec

from kmsched.artifacts import digests
from kmsched.clients.etcd_store import EtcdStore
from kmsched.clients.kube import Json
from kmsched.clients.store import Record
from kmsched.core.model import TASK_ID_ANNOTATION
from kmsched.core.taskid import parse_task_id
from kmsched.doctor.findings import Found, NotChecked
from kmsched.doctor.kubernetes import answering
from kmsched.doctor.subject import Subject, named
from kmsched.errors import ConfigRefused
from kmsched.wire.members import Keys

FRAMEWORK_ID, TERM = "framework-id", "term"
PAGE = 500
MAX_PAGES = 20
BOUND = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"


def where(subject: Subject) -> str:
    """Words for messages."""
    config = subject.config
    return f"etcd under {Keys(config.framework_name).prefix}" if config.ha else str(config.state_dir)


async def stored_framework_id(subject: Subject) -> str | None:
    """None: there is none. NotChecked: the record cannot be read."""
    record = await _record(subject, FRAMEWORK_ID)
    return record.value or None if record else None


async def kept_digests(subject: Subject) -> Mapping[str, str]:
    """URI -> SHA-256 of what was read once, because its URI names none. NotChecked: the record cannot be read."""
    record = await _record(subject, digests.KEY)
    try:
        return digests.from_record(record.value) if record else {}
    except ConfigRefused as error:
        raise NotChecked(str(error)) from error


async def _record(subject: Subject, key: str) -> Record | None:
    config = subject.config
    if config.ha is None:
        return _in_folder(config.state_dir / key)
    store = EtcdStore(subject.etcd(), Keys(config.framework_name), lambda: None, subject.clock, Random(0))
    try:
        return await store.get(key)
    except ConfigRefused as error:
        raise NotChecked(str(error)) from error


def _in_folder(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotChecked(f"{path} cannot be read: {error.strerror}; run the doctor as the scheduler's user") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotChecked(f"{path} is no record: {error}") from error


async def framework_id(subject: Subject) -> list[Found]:
    """Pods that are bound while no framework id is stored: their tasks would be left behind."""
    if await _record(subject, FRAMEWORK_ID) is not None:  # an empty one is a reset, on purpose
        return []
    bound = await _bound_pods(subject)
    if not bound:
        return []
    return [Found(f"{where(subject)} holds no framework id, and {len(bound)} pods are bound ({named(bound)})")]


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
