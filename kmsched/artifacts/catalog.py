"""What is published in a folder, and which of it may go.

Knows the layout `FOLDER/<sha256>/<name>` and the rule by which old artifacts are removed.  It does not know who uses
an artifact: it is told which digests are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from kmsched.artifacts.manifest import Record
from kmsched.artifacts.storage import Entry, Leftover, Progress, Storage, digest_of, leftovers

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANYWHERE = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file under its final name; of one at the very name, the manifest alone tells the SHA-256."""

    name: str
    sha256: str
    size_bytes: int
    modified_ms: int
    owner: str
    is_exact: bool = False

    @property
    def path(self) -> str:
        """Relative to the folder."""
        return self.name if self.is_exact else f"{self.sha256}/{self.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """`empty`: folders of digests with nothing in them. Artifacts are ordered by name, newest first."""

    artifacts: tuple[Artifact, ...]
    leftovers: tuple[Leftover, ...]
    empty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is empty for what is right, or for what may go."""

    artifact: Artifact
    why: str


def scan(storage: Storage, folder: str, records: Iterable[Record] = ()) -> Catalog:
    """Everything in the folder that uploads have put there; at a very name only what the manifest's records tell of.
    All errors of the storage."""
    exact = {record.name: record.sha256 for record in records if record.exact}
    artifacts, empty = [], []
    for entry in storage.entries(folder):
        if not entry.is_folder and entry.name in exact:
            artifacts.append(_artifact(exact[entry.name], entry, is_exact=True))
        if not entry.is_folder or not _DIGEST.fullmatch(entry.name):
            continue
        inside = storage.entries(f"{folder}/{entry.name}")
        artifacts += [_artifact(entry.name, each) for each in inside if _is_artifact(each)]
        if not inside:
            empty.append(entry.name)
    artifacts.sort(key=lambda one: (one.name, -one.modified_ms, one.sha256))
    return Catalog(tuple(artifacts), tuple(leftovers(storage, folder)), tuple(empty))


def _is_artifact(entry: Entry) -> bool:
    return not entry.is_folder and not entry.name.startswith(".")


def _artifact(sha256: str, entry: Entry, *, is_exact: bool = False) -> Artifact:
    return Artifact(entry.name, sha256, entry.size_bytes, entry.modified_ms, entry.owner, is_exact)


def differences(catalog: Catalog, records: Iterable[Record]) -> Iterator[str]:
    """Where the manifest does not tell what is there, in words."""
    there, told = {one.path: one for one in catalog.artifacts}, {record.path: record for record in records}
    for path in sorted(there.keys() - told.keys()):
        yield f"{path} is not in the manifest"
    for path in sorted(told.keys() - there.keys()):
        yield f"{path} is in the manifest, and not there"
    for path in sorted(there.keys() & told.keys()):
        if there[path].size_bytes != told[path].size_bytes:
            yield f"{path} has {there[path].size_bytes} bytes, and {told[path].size_bytes} in the manifest"


def check(storage: Storage, folder: str, artifact: Artifact, progress: Progress) -> Verdict:
    """Read it whole: is it what its folder, or of a very name the manifest, says?"""
    stored = digest_of(storage, f"{folder}/{artifact.path}", artifact.size_bytes, progress)
    return Verdict(artifact, "" if stored == artifact.sha256 else f"its content has the sha256 {stored}")


def may_go(
    artifacts: Iterable[Artifact], *, keep: int, used: Collection[str], now_ms: int, min_age_ms: int
) -> list[Verdict]:
    """For each artifact why it stays; "" if nothing keeps it: not among the `keep` newest of its name, no digest of
    `used`, and as old as it must be."""
    seen: defaultdict[str, int] = defaultdict(int)
    verdicts = []
    for artifact in sorted(artifacts, key=lambda one: (one.name, -one.modified_ms, one.sha256)):
        if artifact.is_exact:  # whoever named this path gets what is there
            verdicts.append(Verdict(artifact, "published with --exact"))
            continue
        seen[artifact.name] += 1
        if artifact.sha256 in used:
            why = "an executor spec has it"
        elif seen[artifact.name] <= keep:
            why = f"number {seen[artifact.name]} of the {keep} newest"
        elif now_ms - artifact.modified_ms < min_age_ms:
            why = "too young"
        else:
            why = ""
        verdicts.append(Verdict(artifact, why))
    return verdicts


def remove(storage: Storage, folder: str, artifact: Artifact) -> bool:
    """Remove it, unless it changed since it was looked at: another upload may want it again."""
    path = f"{folder}/{artifact.path}"
    now = storage.look(path)
    if now is None or _artifact(artifact.sha256, now).modified_ms != artifact.modified_ms:
        return False
    storage.remove(path)
    storage.remove(f"{folder}/{artifact.sha256}")  # if nothing else is in it
    return True


def digests_in(text: str) -> frozenset[str]:
    """All that may be a SHA-256 in a record of any version: rather one too many than one too few."""
    return frozenset(_ANYWHERE.findall(text.lower()))
