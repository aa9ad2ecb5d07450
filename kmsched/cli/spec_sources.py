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
from kmsched.config import SchedulerConfig
from kmsched.errors import ConfigRefused, UsageError
from kmsched.flags import SCHEDULER, Parsed

Spec = Mapping[str, Any]

#: a fingerprint or the beginning of one, or an executor id
HASH = re.compile(r"(?:km-)?([0-9a-f]{8,64})")
STORE_FOLDER = "executors"
MAX_FILE_BYTES = 1 << 20


def of_flags(parsed: Parsed) -> Spec:
    """The spec that `km scheduler` has with these flags; old names and paths without a digest are told on stderr.

    What the scheduler on this host has read once is believed; else such a path is read now. Raises ArtifactError.
    """
    for warning in parsed.warnings:
        _tell(warning)
    built = config.build(parsed)
    return fingerprint.executor_spec(built, _digests(built))


def of(source: str, state_dir: Path, url: str | None = None) -> Spec:
    """The spec behind a URL of a scheduler, a file of flags or a spec, or a hash that `state_dir` or `url` knows.

    UsageError: it is none of these. ConfigRefused, Unavailable: there is none.
    """
    if source.startswith(("http://", "https://")):
        return of_url(source)
    if (match := HASH.fullmatch(source)) and not Path(source).exists():
        found = known(match[1], state_dir, url)
        if found is None:
            raise ConfigRefused(
                f"no executor spec {source} in {state_dir}/{STORE_FOLDER}; name a scheduler's --state-dir or its --url"
            )
        return found
    return _of_file(Path(source))


def known(digits: str, state_dir: Path, url: str | None) -> Spec | None:
    """The spec whose fingerprint begins so, if the store or else the scheduler has it."""
    folder = state_dir / STORE_FOLDER
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name.startswith(digits))
    except OSError:
        names = []
    if len(names) > 1:
        raise UsageError(f"{digits} is the beginning of {len(names)} specs in {folder}: {', '.join(names)}; give more")
    record = _record(folder / names[0]) if names else None
    if record is not None:
        return _spec(record, str(folder / names[0]))
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
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{str(path)!r} is no hash, no URL, and no file that can be read ({error}); give one of these"
        ) from None
    if text.lstrip().startswith("{"):
        return _spec(text, str(path))
    return of_flags(flags.parse_file(path, SCHEDULER))


def _spec(text: str, where: str) -> Spec:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigRefused(f"{where}: no executor spec: {error}; km fingerprint --explain writes one") from None
    if isinstance(found, dict) and isinstance(found.get("spec"), dict):
        found = found["spec"]
    parts = ("flags", "artifacts", "executor")
    if not isinstance(found, dict) or not all(isinstance(found.get(part, {}), dict) for part in parts):
        raise ConfigRefused(f"{where}: no executor spec; km fingerprint --explain writes one")
    return found


def _digests(built: SchedulerConfig) -> Mapping[str, str]:
    record = _record(built.state_dir / digests.KEY)
    kept = digests.from_record(record) if record is not None else {}
    found = digests.resolve(built.artifacts, kept, _read)
    for warning in found.warnings:
        _tell(warning)
    return found.by_flag


def _read(uri: str) -> Iterator[bytes]:
    from kmsched.clients.fetch import read_uri
    from kmsched.clients.hadoop_conf import load_hadoop_conf

    return read_uri(uri, load_hadoop_conf(os.environ))


def _record(path: Path) -> str | None:
    """The value of a record of the store; None where there is none, or it is not for us to read."""
    try:
        record = json.loads(path.read_bytes())
    except OSError:
        return None
    except ValueError as error:
        raise ConfigRefused(f"{path}: no record of a store: {error}; restore it from a backup") from None
    value = record.get("value") if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise ConfigRefused(f"{path}: no record of a store; restore it from a backup")
    return value


def _tell(words: str) -> None:
    click.echo(f"km: {words}", err=True)
