"""What HDFS holds, asked over WebHDFS without the product's own code, and watched while it changes.

Knows WebHDFS's answers; nothing of uploads. A NameNode that is away or standby is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import network
from testbed.hdfs import SUPERUSER, Hdfs

ANSWER_S = 5.0
POLL_S = 0.05
AWAY = (OSError, http.client.HTTPException, ValueError)
MISSING = "FileNotFoundException"


def status(storage: Hdfs, path: str) -> dict[str, Any] | None:
    """FileStatus of what readers see at `path`; None: nothing.

    Raises:
        OSError: no NameNode says.
    """
    return network.inside(storage.settings, lambda: _status(storage, path))


def _status(storage: Hdfs, path: str) -> dict[str, Any] | None:
    for url in storage.layout.namenode_urls():
        asked = f"{url}/webhdfs/v1{urllib.parse.quote(path)}?op=GETFILESTATUS&user.name={SUPERUSER}"
        try:
            with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
                found: dict[str, Any] = json.load(answer)["FileStatus"]
                return found
        except urllib.error.HTTPError as error:
            with error:
                if MISSING in error.read().decode(errors="replace"):
                    return None
        except AWAY:
            continue
    raise ConnectionError(f"{path}: no NameNode says what is there")


def names(storage: Hdfs, folder: str) -> list[str]:
    """What lies in the folder, or below it, as paths relative to it."""
    found = storage.call("GET", folder, "LISTSTATUS")["FileStatuses"]["FileStatus"]
    below = []
    for entry in found:
        name = entry["pathSuffix"]
        below += (
            [name] if entry["type"] == "FILE" else [f"{name}/{each}" for each in names(storage, f"{folder}/{name}")]
        )
    return sorted(below)


def by_hadoop(storage: Hdfs, uri: str, scratch: Path) -> str:
    """SHA-256 of what Hadoop's own client fetches, as the Mesos fetcher calls it."""
    target = scratch / "fetched"
    try:
        storage.run("fs", "-copyToLocal", uri, str(target))
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        target.unlink(missing_ok=True)


@dataclass(slots=True)
class Watch:
    """Every length that a reader could have seen under one path; None: there was nothing."""

    lengths: set[int | None] = field(default_factory=set)
    looks: int = 0


@contextlib.contextmanager
def watched(storage: Hdfs, path: str) -> Iterator[Watch]:
    """Looks at the path all the time while the block runs."""
    watch, over = Watch(), threading.Event()

    def look() -> None:
        while not over.wait(POLL_S):
            with contextlib.suppress(OSError):
                found = _status(storage, path)
                watch.lengths.add(None if found is None else int(found["length"]))
                watch.looks += 1

    thread = threading.Thread(target=lambda: network.inside(storage.settings, look), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
