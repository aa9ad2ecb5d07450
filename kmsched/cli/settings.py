"""`km fingerprint`, `km flags`, `km version`: what can be said from settings alone, without any server."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kmsched import __version__, config
from kmsched import fingerprint as specs
from kmsched import flags as table
from kmsched.artifacts.digests import named
from kmsched.cli.command import FlagCommand
from kmsched.cli.flag_pages import markdown
from kmsched.errors import EXIT_OK, UsageError

_EXPLAIN = "--explain"


class _FingerprintCommand(FlagCommand):
    """The scheduler's flags, and --explain."""

    def __init__(self) -> None:
        super().__init__(
            "fingerprint",
            lambda _parsed: EXIT_OK,
            "Print the fingerprint that `km scheduler` has with these flags.",
            table.SCHEDULER,
        )
        self.params.append(click.Option([_EXPLAIN], is_flag=True, help="Print the executor spec, too."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, [argument for argument in args if argument != _EXPLAIN])
        ctx.params["explain"] = _EXPLAIN in args
        return rest

    def invoke(self, ctx: click.Context) -> int:
        built = config.build(ctx.params["parsed"])
        spec = specs.executor_spec(built, named(built.artifacts))
        click.echo(specs.fingerprint(spec))
        if ctx.params["explain"]:
            click.echo(json.dumps(spec, indent=2, sort_keys=True))
        return EXIT_OK


fingerprint = _FingerprintCommand()


@click.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the docs page of all flags.")
@click.option("--check", type=click.Path(path_type=Path), help="Check a scheduler's flags file and print nothing.")
def flags(as_markdown: bool, check: Path | None) -> int:
    """Show the table of flags, or check a flags file."""
    if check is not None:
        config.build(table.parse_file(check, table.SCHEDULER))
        return EXIT_OK
    if not as_markdown:
        raise UsageError("km flags does --markdown or --check FILE; give one of them")
    click.echo(markdown(), nl=False)
    return EXIT_OK


@click.command()
def version() -> int:
    """Print the version."""
    click.echo(f"km {__version__}")
    return EXIT_OK
