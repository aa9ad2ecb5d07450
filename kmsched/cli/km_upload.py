"""`km-upload FILE... hdfs://HOST[:PORT]/dir`, also `km artifacts upload`: publishes files and prints the URIs that
`--km-path` takes.

Knows options, progress and output: URIs or JSON go to stdout, everything else to stderr.  What an upload is, is in
`kmsched.artifacts.upload`.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import sys
import time
from pathlib import Path

import click

from kmsched import __version__
from kmsched.artifacts import manifest
from kmsched.artifacts.storage import Progress
from kmsched.artifacts.upload import Plan, Uploaded, exact_plan_of, plan_of, upload
from kmsched.artifacts.version import version_of
from kmsched.cli.hdfs_options import SETTINGS, WithExitCodes, connect, hdfs_options, utc
from kmsched.cli.km import run
from kmsched.cli.progress import progress_of
from kmsched.clients.hdfs import HdfsStorage
from kmsched.clients.hdfs_target import Target, target_of
from kmsched.errors import EXIT_OK, ArtifactError, UsageError

SURROUNDINGS = manifest.Surroundings(lambda: secrets.token_hex(8), random.random, time.sleep)


@click.command(cls=WithExitCodes, context_settings=SETTINGS)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", metavar="hdfs://[HOST[:PORT]]/dir")
@click.option("--exact", is_flag=True, help="One file, to the very path of the URI; replaces what is there.")
@hdfs_options
@click.version_option(__version__, message="km-upload %(version)s")
def km_upload(
    files: tuple[Path, ...],
    target: str,
    exact: bool,
    namenodes: tuple[str, ...],
    user: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> int:
    """Publish files as dir/<sha256>/<name> in HDFS, verified, and print their URIs.

    A file that is there already is verified and not sent again. The folder's manifest.json tells what was published.
    """
    where = target_of(target)
    if exact and len(files) != 1:
        raise UsageError(f"--exact takes one FILE, and {len(files)} are given")
    storage = connect(where, namenodes, user, token_file, ca_file)
    for source in files:
        progress = progress_of(source.name)
        if exact:
            _warn(f"{target} is replaced in place: agents that fetch it from now on get another file than those before")
            _warn("schedulers keep the digest that they found first; publish without --exact and change --km-path")
        plan = _plan(source, where, exact, progress)
        done = upload(storage, plan, SURROUNDINGS.token(), time.time_ns() // 1_000_000, progress)
        _tell(done, where, as_json, in_manifest=_record(storage, done))
    return EXIT_OK


def main() -> None:
    sys.exit(run(sys.argv[1:], km_upload, "km-upload"))


def _plan(source: Path, where: Target, exact: bool, progress: Progress) -> Plan:
    return exact_plan_of(source, where.folder, progress) if exact else plan_of(source, where.folder, progress)


def _record(storage: HdfsStorage, done: Uploaded) -> bool:
    """Whether the manifest tells of it; a manifest that cannot be changed does not undo an upload."""
    plan = done.plan
    try:
        entry = storage.look(plan.target)
        record = manifest.Record(
            name=plan.name,
            version=version_of(plan.source),
            sha256=plan.content.sha256,
            size_bytes=plan.content.size_bytes,
            time=utc(time.time()),
            uploader=entry.owner if entry else "",
            exact=plan.is_exact,
        )
        manifest.change(storage, plan.folder, manifest.add(record), SURROUNDINGS)
    except ArtifactError as error:
        _warn(f"{plan.name} is published, but {manifest.NAME} does not tell so: {error}")
        return False
    return True


def _tell(done: Uploaded, where: Target, as_json: bool, *, in_manifest: bool) -> None:
    plan, uri = done.plan, where.uri(done.plan.target)
    for name in done.removed:
        click.echo(f"km: removed {name}, a temporary file of another upload", err=True)
    result = "sent and verified" if done.sent else "already there, verified, nothing sent"
    click.echo(f"km: {plan.source}: {plan.content.size_bytes} bytes, {result}", err=True)
    if as_json:
        facts = {
            "file": os.fspath(plan.source),
            "uri": uri,
            "sha256": plan.content.sha256,
            "size_bytes": plan.content.size_bytes,
            "sent": done.sent,
            "removed": list(done.removed),
            "exact": plan.is_exact,
            "in_manifest": in_manifest,
        }
        click.echo(json.dumps(facts))
    else:
        click.echo(uri)


def _warn(message: str) -> None:
    click.echo(f"km: warning: {message}", err=True)
