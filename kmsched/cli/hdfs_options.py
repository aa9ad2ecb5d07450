"""Options that all commands with an HDFS folder share, and the storage that they mean.

Knows the command line's words for who and where.  Addresses that it does not name come from Hadoop's configuration
files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from kmsched.cli.command import epilog
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.hdfs import HdfsStorage
from kmsched.clients.hdfs_target import Target, addresses_of
from kmsched.errors import ConfigRefused

_Command = TypeVar("_Command", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

_OPTIONS = (
    click.option(
        "--namenode",
        "namenodes",
        multiple=True,
        metavar="URL",
        help="HTTP(S) address of a NameNode; say all of them for failover.  [default: what HADOOP_CONF_DIR's files say,"
        " else http://HOST:9870]",
    ),
    click.option(
        "--user", envvar="HADOOP_USER_NAME", help="Who to be in HDFS.  [default: $HADOOP_USER_NAME, else you]"
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="File with a delegation token (as WebHDFS takes it), instead of --user.",
    ),
    click.option(
        "--ca-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="REQUESTS_CA_BUNDLE",
        help="Certificates of the authorities to believe for https.  [default: $REQUESTS_CA_BUNDLE, else public ones]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


class WithExitCodes(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{epilog()}\n")


def hdfs_options(command: _Command) -> _Command:
    """Adds --namenode, --user, --token-file, --ca-file and --json."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connect(
    where: Target, namenodes: tuple[str, ...], user: str | None, token_file: Path | None, ca_file: Path | None
) -> HdfsStorage:
    """UsageError, ConfigRefused: no address, or a file that cannot be read."""
    addresses = addresses_of(where, namenodes, load_hadoop_conf(os.environ))
    token = _token(token_file) if token_file else None
    if ca_file is not None and not os.access(ca_file, os.R_OK):
        raise ConfigRefused(f"--ca-file={ca_file} cannot be read")
    return HdfsStorage(addresses, user=user, token=token, ca_file=ca_file)


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"--token-file={path} cannot be read: {error}") from error
    if not token:
        raise ConfigRefused(f"--token-file={path} is empty; put a delegation token there")
    return token


def utc(seconds: float) -> str:
    """RFC 3339, as manifests have it. `seconds`: since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
