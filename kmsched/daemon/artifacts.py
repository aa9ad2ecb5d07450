"""The digests of the executor's files, before anything else is decided: named, kept in the store, or read once.

Knows the store's record, that several schedulers may write it, and that reading blocks, so it is done beside the loop.
What is read and kept is decided in `artifacts.digests`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

from kmsched.artifacts import digests
from kmsched.artifacts.digests import Read
from kmsched.clients.store import Store
from kmsched.config import SchedulerConfig
from kmsched.errors import Conflict
from kmsched.threads import in_thread

log = logging.getLogger(__name__)

#: of writing the record; each time somebody else was first
MAX_TRIES = 5


async def artifact_digests(config: SchedulerConfig, store: Store, read: Read) -> Mapping[str, str]:
    """Flag name -> SHA-256; of a path that two schedulers read at once, what the first has kept.

    ConfigRefused, ArtifactError: see `digests.resolve`. Conflict: the record is written on and on.
    """
    for tries_left in reversed(range(MAX_TRIES)):
        record = await store.get(digests.KEY)
        kept = digests.from_record(record.value) if record else {}
        found = await in_thread(partial(digests.resolve, config.artifacts, kept, read))
        try:
            if found.kept != kept:
                await store.put(digests.KEY, digests.to_record(found.kept), record.revision if record else 0)
            break
        except Conflict:
            if not tries_left:
                raise
    for warning in found.warnings:
        log.warning("%s", warning)
    return found.by_flag
