"""`km-upload FILE... hdfs://HOST[:PORT]/dir`: publishes files and prints the URIs to give to `--km-path`.

Knows options, progress and output: URIs or JSON go to stdout, everything else to stderr.  What an upload is, is in
`kmsched.artifacts.upload`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

import click

from kmsched import __version__
from kmsched.artifacts.upload import Progress, Uploaded, plan_of, upload
from kmsched.cli.command import epilog
from kmsched.cli.km import run
from kmsched.clients.hdfs import HdfsStorage, Target, addresses_of, target_of
from kmsched.errors import EXIT_OK, ConfigRefused

BAR_CELLS = 30


class _WithExitCodes(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{epilog()}\n")


@click.command(cls=_WithExitCodes, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", metavar="hdfs://HOST[:PORT]/dir")
@click.option(
    "--namenode",
    "namenodes",
    multiple=True,
    metavar="URL",
    help="HTTP address of a NameNode; several are tried in order.  [default: http://HOST:9870]",
)
@click.option("--user", envvar="HADOOP_USER_NAME", help="Who to be in HDFS.  [default: $HADOOP_USER_NAME, else you]")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="File with a delegation token, instead of --user.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each file.")
@click.version_option(__version__, message="km-upload %(version)s")
def km_upload(
    files: tuple[Path, ...],
    target: str,
    namenodes: tuple[str, ...],
    user: str | None,
    token_file: Path | None,
    as_json: bool,
) -> int:
    """Publish files as dir/<sha256>/<name> in HDFS, verified, and print their URIs.

    A file that is there already is verified and not sent again.
    """
    where = target_of(target)
    token = _token(token_file) if token_file else None
    storage = HdfsStorage(addresses_of(where, namenodes), user=user, token=token)
    for source in files:
        progress = bar(source.name) if sys.stderr.isatty() else lines(source.name)
        plan = plan_of(source, where.folder, progress)
        done = upload(storage, plan, secrets.token_hex(8), progress)
        _tell(done, where, as_json)
    return EXIT_OK


def main() -> None:
    sys.exit(run(sys.argv[1:], km_upload, "km-upload"))


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"--token-file={path} cannot be read: {error}") from error
    if not token:
        raise ConfigRefused(f"--token-file={path} is empty; put a delegation token there")
    return token


def _tell(done: Uploaded, where: Target, as_json: bool) -> None:
    plan, uri = done.plan, where.uri(done.plan.target)
    for name in done.removed:
        click.echo(f"km: removed {name}, a temporary file of another upload", err=True)
    result = "sent and verified" if done.sent else "already there, verified, nothing sent"
    click.echo(f"km: {plan.source}: {plan.size_bytes} bytes, {result}", err=True)
    if as_json:
        facts = {
            "file": os.fspath(plan.source),
            "uri": uri,
            "sha256": plan.sha256,
            "size_bytes": plan.size_bytes,
            "sent": done.sent,
            "removed": list(done.removed),
        }
        click.echo(json.dumps(facts))
    else:
        click.echo(uri)


def bar(name: str) -> Progress:
    """One line that is written over; for a terminal."""

    def show(stage: str, done: int, total: int) -> None:
        full = BAR_CELLS * done // total if total else BAR_CELLS
        bar = "#" * full + "." * (BAR_CELLS - full)
        click.echo(f"\r{stage:>9} {name} [{bar}] {done >> 20}/{total >> 20} MiB", err=True, nl=done >= total)

    return show


def lines(name: str) -> Progress:
    """One line when a stage ends; for logs."""

    def show(stage: str, done: int, total: int) -> None:
        if done >= total:
            click.echo(f"km: {stage} {name}: {done} bytes done", err=True)

    return show
