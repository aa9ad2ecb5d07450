"""`km framework reset`: the explicit act after which a new framework id may be made.

Knows the state folder by its path.  It asks nobody whether the old framework is really gone: the operator does.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import click

from kmsched.errors import EXIT_OK

DEFAULT_STATE_DIR = "/var/lib/kmsched"


@click.group()
def framework() -> None:
    """The framework id that Mesos knows this scheduler by."""


@framework.command()
@click.option(
    "--state-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="Folder of a scheduler that is stopped.",
)
@click.confirmation_option(
    prompt="Tasks of the old framework are not adopted by the new one. Forget the framework id?",
)
def reset(state_dir: Path) -> int:
    """Forget the framework id, so that the next start gets a new one. The term is kept."""
    from kmsched.clients.store import FolderStore
    from kmsched.daemon.identity import reset_framework_id

    with contextlib.closing(FolderStore(state_dir)) as store:
        old = asyncio.run(reset_framework_id(store))
    click.echo(f"{state_dir}: framework id {old or '(none)'} is forgotten; the next start gets a new one from Mesos")
    return EXIT_OK
