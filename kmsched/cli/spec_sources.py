"""Where an executor spec can come from: flags, a file, the store of a scheduler, a scheduler's HTTP server.

Knows these four and their forms, and reads only.  It takes no lock: a scheduler may be using the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from kmsched import config, fingerprint, flags
from kmsched.artifacts import digests
from kmsched.cli.ask import fetch
from kmsched.cli.stored_records import StoredRecords, stored_records
from kmsched.config import SchedulerConfig
from kmsched.errors import ConfigRefused, UsageError
from kmsched.flags import SCHEDULER, Parsed
from kmsched.small_file import small_text

Spec = Mapping[str, Any]

#: a fingerprint or the beginning of one, or an executor id
HASH = re.compile(r"(?:km-)?([0-9a-f]{8,64})(?:\.[0-9a-f]+)?")
STORE_FOLDER = "executors"


def of_flags(parsed: Parsed) -> Spec:
    """The spec that `km scheduler` has with these flags; old names and paths without a digest are told on stderr.

    What the scheduler on this host has read once is believed; else such a path is read now. Raises ArtifactError.
    """
    for warning in parsed.warnings:
        _tell(warning)
    built = config.build(parsed)
    return fingerprint.executor_spec(built, _digests(built))


def of(source: str, stored: StoredRecords, url: str | None = None) -> Spec:
    """The spec behind a URL of a scheduler, a file of flags or a spec, or a hash that `stored` or `url` knows.

    UsageError: it is none of these. ConfigRefused, Unavailable: there is none.
    """
    if source.startswith(("http://", "https://")):
        return of_url(source)
    if (match := HASH.fullmatch(source)) and not Path(source).exists():
        found = known(match[1], stored, url)
        if found is None:
            raise ConfigRefused(
                f"no executor spec {source} in {stored.where}/{STORE_FOLDER};"
                " name a scheduler's --state-dir, its --flags-file (with --ha, specs are in etcd) or its --url"
            )
        return found
    return _of_file(Path(source))


def known(digits: str, stored: StoredRecords, url: str | None) -> Spec | None:
    """The spec whose fingerprint begins so, if the store or else the scheduler has it."""
    keys = stored.keys(f"{STORE_FOLDER}/{digits}")
    if len(keys) > 1:
        names = ", ".join(key.removeprefix(f"{STORE_FOLDER}/") for key in keys)
        raise UsageError(
            f"{digits} is the beginning of {len(keys)} specs in {stored.where}/{STORE_FOLDER}: {names}; give more"
        )
    record = stored.get(keys[0]) if keys else None
    if record is not None:
        return _spec(record, f"{stored.where}/{keys[0]}")
    if url is None:
        return None
    try:
        return _spec(json.dumps(fetch(url, f"/api/v1/executors/{digits}").get("spec")), url)
    except ConfigRefused:
        return None


def of_url(url: str) -> Spec:
    """The spec that the scheduler there has."""
    mine = fetch(url, "/api/v1/status").get("fingerprint")
    if not isinstance(mine, str) or not HASH.fullmatch(mine):
        raise ConfigRefused(f"{url} tells no fingerprint; is this a km scheduler?")
    return _spec(json.dumps(fetch(url, f"/api/v1/executors/{mine}").get("spec")), url)


def _of_file(path: Path) -> Spec:
    """A spec, the answer of `km fingerprint --json --explain`, or flags."""
    try:
        text = small_text(path, "utf-8-sig")
    except ValueError as error:
        raise UsageError(
            f"{str(path)!r} is no hash, no URL, and no file that can be read ({error}); give one of these"
        ) from None
    if text.lstrip().startswith("{"):
        return _spec(text, str(path))
    return of_flags(flags.parse_text(text, str(path), SCHEDULER))  # a pipe can be read once


def _spec(text: str, where: str) -> Spec:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigRefused(f"{where}: no executor spec: {error}; km fingerprint --explain writes one") from None
    if isinstance(found, dict) and isinstance(found.get("spec"), dict):
        found = found["spec"]
    parts = ("flags", "artifacts", "executor")
    if not isinstance(found, dict) or not all(isinstance(found.get(part, {}), dict) for part in parts):
        raise ConfigRefused(f"{where}: no executor spec; km fingerprint --explain writes one")
    return found


def _digests(built: SchedulerConfig) -> Mapping[str, str]:
    named = digests.named(built.artifacts)
    record = None if named.keys() == built.artifacts.keys() else stored_records(built).get(digests.KEY)
    kept = digests.from_record(record) if record is not None else {}
    found = digests.resolve(built.artifacts, kept, _read)
    for warning in found.warnings:
        _tell(warning)
    return found.by_flag


def _read(uri: str) -> Iterator[bytes]:
    from kmsched.clients.fetch import read_uri
    from kmsched.clients.hadoop_conf import load_hadoop_conf

    return read_uri(uri, load_hadoop_conf(os.environ))


def _tell(words: str) -> None:
    click.echo(f"km: {words}", err=True)
