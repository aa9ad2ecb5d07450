"""The digests of the executor's files, before anything else is decided: named, kept in the store, or read once.

Knows the store's record and that reading blocks, so it is done beside the loop.  What is read and kept is decided in
`artifacts.digests`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from kmsched.artifacts import digests
from kmsched.artifacts.digests import Read
from kmsched.clients.store import Store
from kmsched.config import SchedulerConfig

log = logging.getLogger(__name__)


async def artifact_digests(config: SchedulerConfig, store: Store, read: Read) -> Mapping[str, str]:
    """Flag name -> SHA-256. ConfigRefused, ArtifactError: see `digests.resolve`."""
    record = await store.get(digests.KEY)
    kept = digests.from_record(record.value) if record else {}
    found = await asyncio.to_thread(digests.resolve, config.artifacts, kept, read)
    for warning in found.warnings:
        log.warning("%s", warning)
    if found.kept != kept:
        await store.put(digests.KEY, digests.to_record(found.kept), record.revision if record else 0)
    return found.by_flag
