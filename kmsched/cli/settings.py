"""`km flags`, `km completion`, `km version`: what can be said from the program alone, without any server."""

from __future__ import annotations

import json
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from kmsched import __version__, config
from kmsched import flags as table
from kmsched.cli import flag_pages
from kmsched.errors import EXIT_OK, UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the docs page of all flags.")
@click.option("--json", "as_json", is_flag=True, help="Print the table of flags as JSON.")
@click.option("--check", type=click.Path(path_type=Path), help="Check a scheduler's flags file.")
@click.option("--check-host", type=click.Path(path_type=Path), help="Check a file of one host's own flags.")
def flags(as_markdown: bool, as_json: bool, check: Path | None, check_host: Path | None) -> int:
    """Show the table of flags, or check flags files; warnings about old names go to stderr."""
    if check is not None:
        _check(check, check_host)
    elif check_host is not None:
        _warn(table.parse([f"--{table.HOST_FLAGS_FILE}={check_host}"], table.SCHEDULER, complete=False))
    elif as_json:
        click.echo(json.dumps(flag_pages.as_json(), indent=2))
    elif as_markdown:
        click.echo(flag_pages.markdown(), nl=False)
    else:
        raise UsageError("km flags does --markdown, --json, --check FILE or --check-host FILE; give one of them")
    return EXIT_OK


def _check(file: Path, host_file: Path | None) -> None:
    tokens = [f"--{table.FLAGS_FILE}={file}"]
    if host_file is not None:
        tokens.append(f"--{table.HOST_FLAGS_FILE}={host_file}")
    parsed = table.parse(tokens, table.SCHEDULER)
    _warn(parsed)
    config.build(parsed)


def _warn(parsed: table.Parsed) -> None:
    for warning in parsed.warnings:
        click.echo(f"km: {warning}", err=True)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script for a shell.

    bash: km completion bash > /etc/bash_completion.d/km;
    zsh: km completion zsh > a file _km in a folder of $fpath;
    fish: km completion fish > ~/.config/fish/completions/km.fish
    """
    root = ctx.find_root()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root.command, {}, "km", "_KM_COMPLETE").source())
    return EXIT_OK


@click.command()
def version() -> int:
    """Print the version."""
    click.echo(f"km {__version__}")
    return EXIT_OK
