"""One faulted upload: a file is published, something breaks in the middle, and everything is counted.

Used by the scenarios and, in larger numbers, by the soak. A trial never raises for what went wrong with the product: it
says so in `wrong`. After the fault all parts are brought back and the same upload is run again, which has to succeed
and to leave nothing behind; then Hadoop's own client reads the printed URI.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from kmsched.artifact_uri import without_digest
from testbed.hdfs import PUBLISHER, Hdfs
from testbed.hdfs_layout import NAMESERVICE
from tests.scenarios import stored, uploader
from tests.scenarios.outcome import Outcome
from tests.scenarios.uploader import Ended, Uploader

ROOT = "/uploads"
NAME = "thing"
MANIFEST = "manifest.json"
NO_QUOTA = -1
UNKNOWN_EXIT = 1


@dataclass(slots=True)
class Scene:
    """What a fault is done to. `share`: the part of the body that is sent when it is done."""

    storage: Hdfs
    source: Path
    sha256: str
    folder: str
    share: float
    random: Random
    exact: bool = False
    user: str = PUBLISHER
    #: what stands under an exact name before
    before: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.source.stat().st_size

    @property
    def target(self) -> str:
        return f"{self.folder}/{NAME}" if self.exact else f"{self.folder}/{self.sha256}/{NAME}"

    def start(self) -> Uploader:
        if self.exact:
            return uploader.start(self.storage, self.source, self.target, "--exact", user=self.user)
        return uploader.start(self.storage, self.source, self.folder, user=self.user)


@dataclass(frozen=True, slots=True)
class Fault:
    """`harm` gets the running upload and returns all uploads that are to be waited for, the one that counts first.
    `codes`: exit codes that the upload may have."""

    harm: Callable[[Scene, Uploader], list[Uploader]]
    codes: frozenset[int]
    prepare: Callable[[Scene], None] = lambda scene: None
    exact: bool = False


@dataclass(slots=True)
class Trial(Outcome):
    """`share` of the body at which the fault came; `reached`: whether the upload had got there."""

    fault: str
    size_bytes: int
    share: float
    exit_code: int = UNKNOWN_EXIT
    took_s: float = 0.0
    message: str = ""
    under_final_name: str = ""
    left: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def scene(storage: Hdfs, seed: int, size_bytes: int, share: float, exact: bool = False) -> Iterator[Scene]:
    """A file with random content and an empty folder of its own in HDFS, gone afterwards."""
    random = Random(seed)
    folder = f"{ROOT}/{seed}-{secrets.token_hex(4)}"
    storage.call("PUT", folder, "MKDIRS", permission="755")
    storage.call("PUT", folder, "SETOWNER", owner=PUBLISHER, group=PUBLISHER)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / NAME
            # not by the seed: no two runs may have the same content
            content = Random(secrets.token_bytes(8)).randbytes(size_bytes)
            source.write_bytes(content)
            yield Scene(storage, source, hashlib.sha256(content).hexdigest(), folder, share, random, exact)
    finally:
        storage.call("DELETE", folder, "DELETE", recursive="true")


def trial(storage: Hdfs, name: str, fault: Fault, seed: int, size_bytes: int, share: float) -> Trial:
    found = Trial(seed, name, size_bytes, round(share, 3))
    with scene(storage, seed, size_bytes, share, fault.exact) as at:
        fault.prepare(at)
        with stored.watched(storage, at.target) as watch:
            first = at.start()
            running = fault.harm(at, first)
            ended = [each.end() for each in running]
        _judge(found, fault, at, ended, watch)
        _bring_back(at)
        _judge_stored(found, at, ended[0])
        _again(found, at)
        found.notes = at.notes
    return found


def _judge(found: Trial, fault: Fault, at: Scene, ended: list[Ended], watch: stored.Watch) -> None:
    first = ended[0]
    found.exit_code, found.took_s, found.message = first.code, first.took_s, first.message
    if first.code not in fault.codes:
        found.wrong.append(f"exit code {first.code}: {first.text[-1500:]}")
    if first.code > 0 and not first.message.startswith("km: "):
        found.wrong.append(f"no message that ends it: {first.text[-1500:]}")
    found.wrong += [
        f"another upload: exit code {each.code}: {each.text[-1500:]}" for each in ended[1:] if each.code > 0
    ]
    allowed = {None, at.size} if at.before is None else {at.before, at.size}
    if partial := watch.lengths - allowed:
        found.wrong.append(f"readers saw lengths {sorted(map(str, partial))} under the final name")
    at.notes["looks"] = watch.looks


def _bring_back(at: Scene) -> None:
    at.storage.up()
    at.storage.call("PUT", at.folder, "SETQUOTA", namespacequota=str(NO_QUOTA), storagespacequota=str(NO_QUOTA))
    at.storage.call("PUT", at.folder, "SETOWNER", owner=PUBLISHER, group=PUBLISHER)


def _judge_stored(found: Trial, at: Scene, ended: Ended) -> None:
    """What is under the final name: the whole file or none (or what was there before)."""
    there = stored.status(at.storage, at.target)
    length = None if there is None else int(there["length"])
    names = {at.before: "what was before", None: "nothing", at.size: "the file"}
    found.under_final_name = names.get(length, "partial")
    if found.under_final_name == "partial":
        found.wrong.append(f"{length} bytes of {at.size} under the final name")
    if ended.code == 0 and length != at.size:
        found.wrong.append(f"exit code 0, and {found.under_final_name} is under the final name")
    if length == at.size:
        found.wrong += _fetched(at, without_digest(ended.printed.strip()) or f"hdfs://{NAMESERVICE}{at.target}")
    found.left = len([name for name in stored.names(at.storage, at.folder) if _is_temporary(name)])


def _is_temporary(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _fetched(at: Scene, uri: str) -> list[str]:
    digest = stored.by_hadoop(at.storage, uri, at.source.parent)
    return [] if digest == at.sha256 else [f"Hadoop's client reads sha256 {digest} from {uri}, not {at.sha256}"]


def _again(found: Trial, at: Scene) -> None:
    """The same upload without a fault, by one who may."""
    at.user = PUBLISHER
    ended = at.start().end()
    if ended.code != 0:
        found.wrong.append(f"the next upload: exit code {ended.code}: {ended.text[-1500:]}")
        return
    wanted = [at.target.removeprefix(f"{at.folder}/")]
    listed = [name for name in stored.names(at.storage, at.folder) if name != MANIFEST]
    if listed != wanted:
        found.wrong.append(f"after the next upload there is {listed}, not only {wanted}")
    # Hadoop's client has read the other ones already
    if found.under_final_name != "the file":
        found.wrong += _fetched(at, without_digest(ended.printed.strip()))
