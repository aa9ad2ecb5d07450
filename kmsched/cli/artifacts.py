"""`km artifacts`: upload, list, verify and prune what is published in an HDFS folder.

Knows options and output, and where executor specs are asked for.  The rules are in `kmsched.artifacts`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from kmsched.artifacts import catalog, manifest
from kmsched.artifacts.catalog import Artifact, Verdict
from kmsched.artifacts.manifest import Record
from kmsched.artifacts.storage import Storage, sweep
from kmsched.artifacts.upload import is_old
from kmsched.cli.ask import fetch
from kmsched.cli.hdfs_options import SETTINGS, WithExitCodes, connect, hdfs_options, utc
from kmsched.cli.km_upload import SURROUNDINGS, km_upload
from kmsched.cli.progress import progress_of
from kmsched.cli.stored_records import FolderRecords, StoredRecords, records_of_flags
from kmsched.clients.hdfs import HdfsStorage
from kmsched.clients.hdfs_target import Target, target_of
from kmsched.errors import EXIT_OK, EXIT_VERIFICATION_FAILED, ArtifactError, ConfigRefused, UsageError
from kmsched.values import read_duration

EXECUTORS = "/api/v1/executors"
MAX_RECORD_BYTES = 1 << 22

_uri = click.argument("target", metavar="hdfs://[HOST[:PORT]]/dir")


@click.group(context_settings=SETTINGS)
def artifacts() -> None:
    """Files that agents fetch, as km-upload publishes them in HDFS."""


artifacts.add_command(km_upload, "upload")


@artifacts.command("list", cls=WithExitCodes)
@_uri
@hdfs_options
def list_(target: str, as_json: bool, **connection: Any) -> int:
    """Show what is published in the folder."""
    where, storage = _open(target, connection)
    records = _records(storage, where.folder)
    found = catalog.scan(storage, where.folder, records.values())
    facts = [_facts(one, records, where) for one in found.artifacts]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        for fact in facts:
            version = fact["version"] or "-"
            words = (fact["name"], version, fact["size_bytes"], fact["time"], fact["uploader"], fact["uri"])
            click.echo(_plain(" ".join(map(str, words))))
    _mention(catalog.differences(found, records.values()))
    _mention(f"{one.path} is of an upload that runs, or died" for one in found.leftovers)
    return EXIT_OK


@artifacts.command(cls=WithExitCodes)
@_uri
@click.option("--repair", is_flag=True, help="Make manifest.json tell what is there.")
@hdfs_options
def verify(target: str, repair: bool, as_json: bool, **connection: Any) -> int:
    """Read each file of the folder and compare it with its SHA-256."""
    where, storage = _open(target, connection)
    records = _records(storage, where.folder)
    found = catalog.scan(storage, where.folder, records.values())
    verdicts = [catalog.check(storage, where.folder, one, progress_of(one.name)) for one in found.artifacts]
    wrong = [one for one in verdicts if one.why]
    missing = sorted(records.keys() - {one.path for one in found.artifacts})
    _say_verdicts(verdicts, where, as_json, ("ok", "WRONG"))
    _mention(catalog.differences(found, records.values()))
    if repair and manifest.change(storage, where.folder, _repair(found.artifacts, records), SURROUNDINGS):
        _mention([f"{manifest.NAME} is repaired"])
    if wrong:
        _mention(["remove what is wrong, then publish it again"])
    return EXIT_VERIFICATION_FAILED if wrong or (missing and not repair) else EXIT_OK


@artifacts.command(cls=WithExitCodes)
@_uri
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N", help="The newest N of each name stay.")
@click.option(
    "--state-dir",
    "state_dirs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="State folder of a scheduler without --ha: what its executor specs have stays.",
)
@click.option(
    "--flags-file", type=click.Path(path_type=Path), help="Flags of schedulers: their folder or etcd has the specs."
)
@click.option("--host-flags-file", type=click.Path(path_type=Path), help="The flags of one host beside them.")
@click.option("--scheduler", "schedulers", multiple=True, metavar="URL", help="A scheduler to ask for its specs.")
@click.option("--no-specs", is_flag=True, help="There is no scheduler; nothing stays for being used.")
@click.option("--min-age", default="1d", show_default=True, metavar="DURATION", help="What is younger stays.")
@click.option("--dry-run", is_flag=True, help="Tell what would be removed, and remove nothing.")
@hdfs_options
def prune(
    target: str,
    keep: int,
    state_dirs: tuple[Path, ...],
    flags_file: Path | None,
    host_flags_file: Path | None,
    schedulers: tuple[str, ...],
    no_specs: bool,
    min_age: str,
    dry_run: bool,
    as_json: bool,
    **connection: Any,
) -> int:
    """Remove old artifacts that no recorded executor spec has."""
    min_age_s = _duration("--min-age", min_age)
    stored = None if flags_file is None else records_of_flags(flags_file, host_flags_file)
    used = _used(state_dirs, stored, schedulers, no_specs)
    where, storage = _open(target, connection)
    records = _records(storage, where.folder)
    found, now_ms = catalog.scan(storage, where.folder, records.values()), time.time_ns() // 1_000_000
    verdicts = catalog.may_go(found.artifacts, keep=keep, used=used, now_ms=now_ms, min_age_ms=round(min_age_s * 1000))
    if not dry_run:
        gone = [one for one in verdicts if not one.why and catalog.remove(storage, where.folder, one.artifact)]
        changed = [one for one in verdicts if not one.why and one not in gone]
        verdicts = [Verdict(one.artifact, "published again") if one in changed else one for one in verdicts]
        dead = [one for one in found.leftovers if is_old(one, now_ms)]
        _mention(f"removed {name}, a temporary file of an upload that died" for name in sweep(storage, dead))
        for folder in found.empty:
            storage.remove(f"{where.folder}/{folder}")
        if gone:
            paths = [one.artifact.path for one in gone]
            manifest.change(storage, where.folder, manifest.drop(paths), SURROUNDINGS)
    _say_verdicts(verdicts, where, as_json, ("would be removed" if dry_run else "removed", "stays"))
    return EXIT_OK


def _open(target: str, connection: Mapping[str, Any]) -> tuple[Target, HdfsStorage]:
    """ArtifactError: there is no such folder."""
    where = target_of(target)
    storage = connect(where, **connection)
    entry = storage.look(where.folder or "/")
    if entry is None or not entry.is_folder:
        raise ArtifactError(f"{target}: there is no such folder; publish to it first, or correct the URI")
    return where, storage


def _records(storage: Storage, folder: str) -> dict[str, Record]:
    """By path; a manifest that cannot be read is mentioned, for it decides nothing."""
    try:
        return {record.path: record for record in manifest.read(storage, folder)}
    except ArtifactError as error:
        _mention([str(error)])
        return {}


def _repair(there: Iterable[Artifact], seen: Mapping[str, Record]) -> manifest.Edit:
    """What is there and nothing else, but for what others have added since it was looked at."""
    found = {one.path: one for one in there}

    def edit(records: tuple[Record, ...]) -> list[Record]:
        known = {record.path: record for record in records}
        newer = [record for path, record in known.items() if path not in found and path not in seen]
        return [known.get(path) or _record(one) for path, one in found.items()] + newer

    return edit


def _record(one: Artifact) -> Record:
    return Record(one.name, "", one.sha256, one.size_bytes, utc(one.modified_ms / 1000), one.owner, one.is_exact)


def _facts(one: Artifact, records: Mapping[str, Record], where: Target) -> dict[str, Any]:
    record = records.get(one.path) or _record(one)
    return {
        "name": one.name,
        "version": record.version,
        "sha256": one.sha256,
        "size_bytes": one.size_bytes,
        "time": record.time,
        "uploader": record.uploader,
        "uri": where.uri(f"{where.folder}/{one.path}"),
    }


def _used(
    state_dirs: Iterable[Path], stored: StoredRecords | None, schedulers: Iterable[str], no_specs: bool
) -> frozenset[str]:
    """Digests that executor specs have. UsageError: nobody says where they are."""
    used = [_digests_in_folder(folder) for folder in state_dirs]
    if isinstance(stored, FolderRecords):
        used.append(_digests_in_folder(stored.folder))
    elif stored is not None:
        used.append(_digests_in_etcd(stored))
    used += [_digests_of_scheduler(url) for url in schedulers]
    if not used and not no_specs:
        raise UsageError(
            "what do executors use? say --state-dir=DIR or --scheduler=URL of each scheduler,"
            " --flags-file=FILE where several share etcd, or --no-specs where there is none"
        )
    return frozenset().union(*used)


def _digests_of_scheduler(url: str) -> frozenset[str]:
    """Of all specs that it knows. Unavailable; ConfigRefused: it does not know them all."""
    known = fetch(url, EXECUTORS).get("executors")
    if not isinstance(known, list):
        raise ConfigRefused(f"{url}{EXECUTORS} lists no executors; is this a km scheduler of this version?")
    found: set[str] = set()
    for each in known:
        if not each.get("fingerprint"):
            raise ConfigRefused(
                f"{url}: executor {each.get('executor_id')} runs on {each.get('agents')} agents, and its spec is not"
                " recorded, so nobody can tell what it uses; prune when it has left"
            )
        found |= catalog.digests_in(json.dumps(fetch(url, f"{EXECUTORS}/{each['fingerprint']}")))
    return frozenset(found)


def _digests_in_folder(folder: Path) -> frozenset[str]:
    """Of all records of executor specs, whatever their version. ConfigRefused: there are none, or one is unreadable."""
    found: set[str] = set()
    try:
        records = sorted(path for path in (folder / "executors").iterdir() if not path.name.startswith("."))
        for path in records:
            text = path.read_text(encoding="utf-8")
            if len(text) > MAX_RECORD_BYTES:
                raise ConfigRefused(f"{path} has more than {MAX_RECORD_BYTES} bytes, and no spec has")
            found |= catalog.digests_in(text)
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"--state-dir={folder}: executor specs cannot be read: {error}") from error
    return frozenset(found)


def _digests_in_etcd(stored: StoredRecords) -> frozenset[str]:
    """Of all records of executor specs. ConfigRefused: there are none. Unavailable: nobody answers."""
    keys = stored.keys("executors/")
    if not keys:
        raise ConfigRefused(f"{stored.where} has no executor specs; are these the flags of the schedulers that run?")
    return frozenset().union(*(catalog.digests_in(stored.get(key) or "") for key in keys))


def _duration(option: str, text: str) -> float:
    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _say_verdicts(verdicts: Iterable[Verdict], where: Target, as_json: bool, words: tuple[str, str]) -> None:
    """`words`: for those without a reason, and for those with one."""
    told = [(where.uri(f"{where.folder}/{one.artifact.path}"), words[bool(one.why)], one) for one in verdicts]
    if as_json:
        facts = [
            {"uri": uri, "name": one.artifact.name, "sha256": one.artifact.sha256, "result": word, "why": one.why}
            for uri, word, one in told
        ]
        click.echo(json.dumps(facts, indent=2))
        return
    for uri, word, one in told:
        click.echo(_plain(f"{word}: {uri}{f' ({one.why})' if one.why else ''}"))


def _mention(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(_plain(f"km: {line}"), err=True)


def _plain(text: str) -> str:
    """Whoever may write to the folder decides what names there are, and a terminal obeys some characters."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
