"""`km fingerprint`: what executors would be with these flags, whether that is expected, and what differs.

Knows options and output: the fingerprint alone is on stdout, words are on stderr, `--json` has all in one object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kmsched import config
from kmsched import fingerprint as specs
from kmsched.cli import spec_sources
from kmsched.cli.command import FlagCommand
from kmsched.cli.framework import DEFAULT_STATE_DIR
from kmsched.cli.stored_records import FolderRecords, records_of_flags, stored_records
from kmsched.core.executors import plain_id
from kmsched.errors import EXIT_MISMATCH, EXIT_OK, Unavailable
from kmsched.fingerprint import Difference
from kmsched.flag import SCHEDULER, Flag
from kmsched.flags import Parsed
from kmsched.values import Kind

OWN = (
    Flag("explain", Kind.BOOL, "false", "Print the executor spec, too."),
    Flag("json", Kind.BOOL, "false", "Print one JSON object."),
    Flag(
        "expect",
        Kind.TEXT,
        None,
        "Exit 14 and name the flags that differ, if this is not the fingerprint.",
        metavar="HASH",
        pattern=(spec_sources.HASH.pattern, "give a fingerprint, at least its first 8 digits, or an executor id"),
    ),
    Flag("url", Kind.URI, None, "A scheduler that may know what is expected, if the store does not."),
)


def run(parsed: Parsed) -> int:
    spec = spec_sources.of_flags(parsed)
    ours = specs.fingerprint(spec)
    answer: dict[str, Any] = {"fingerprint": ours, "executor_id": specs.executor_id(spec)}
    if parsed["explain"]:
        answer["spec"] = spec
    expected = parsed["expect"]
    found: tuple[Difference, ...] | None = ()
    if expected is not None:
        digits = plain_id(expected).removeprefix(specs.ID_PREFIX)
        matches = ours.startswith(digits)
        theirs = None if matches else _known(digits, parsed)
        found = () if matches else None if theirs is None else specs.compare(spec, theirs)
        answer |= {"expected": expected, "matches": matches, "differences": _as_json(found)}
    _print(answer, found, parsed)
    return EXIT_OK if answer.get("matches", True) else EXIT_MISMATCH


def _known(digits: str, parsed: Parsed) -> spec_sources.Spec | None:
    """That etcd is away does not change that the fingerprint is another: exit code 14, and the reason in words."""
    try:
        return spec_sources.known(digits, stored_records(config.build(parsed)), parsed["url"])
    except Unavailable as error:
        click.echo(f"km: {error}", err=True)
        return None


def _print(answer: dict[str, Any], found: tuple[Difference, ...] | None, parsed: Parsed) -> None:
    if parsed["json"]:
        click.echo(json.dumps(answer, indent=2, sort_keys=True))
        return
    click.echo(answer["fingerprint"])
    if parsed["explain"]:
        click.echo(json.dumps(answer["spec"], indent=2, sort_keys=True))
    if answer.get("matches", True):
        return
    click.echo(f"km: {answer['expected']} was expected", err=True)
    unknown = "what it was made of is known neither to the store nor to --url"
    for words in [unknown] if found is None else map(str, found):
        click.echo(f"km:   {words}", err=True)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--state-dir", type=click.Path(path_type=Path), default=DEFAULT_STATE_DIR, show_default=True, help="For hashes."
)
@click.option(
    "--flags-file", type=click.Path(path_type=Path), help="For hashes: flags of schedulers, which may share etcd."
)
@click.option("--host-flags-file", type=click.Path(path_type=Path), help="The flags of one host beside them.")
@click.option("--url", help="A scheduler that knows hashes which the store has not.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(
    a: str,
    b: str,
    state_dir: Path,
    flags_file: Path | None,
    host_flags_file: Path | None,
    url: str | None,
    as_json: bool,
) -> int:
    """Name what differs between two executor specs; exit code 14 if anything does.

    A and B: a file with a spec or with flags, the hash of one in the store, or a scheduler's URL.
    """
    stored = FolderRecords(state_dir) if flags_file is None else records_of_flags(flags_file, host_flags_file)
    ours, theirs = (spec_sources.of(source, stored, url) for source in (a, b))
    found = specs.compare(ours, theirs)
    if as_json:
        sides = [{"source": text, "fingerprint": specs.fingerprint(spec)} for text, spec in ((a, ours), (b, theirs))]
        answer = {"a": sides[0], "b": sides[1], "differences": _as_json(found)}
        click.echo(json.dumps(answer, indent=2, sort_keys=True))
    else:
        for each in found:
            click.echo(f"{each.name}: {specs.spoken(each.ours)} in {a}, {specs.spoken(each.theirs)} in {b}")
    return EXIT_MISMATCH if found else EXIT_OK


def _as_json(found: tuple[Difference, ...] | None) -> list[dict[str, Any]] | None:
    """null: it is not known what differs."""
    return None if found is None else [{"name": e.name, "ours": e.ours, "theirs": e.theirs} for e in found]


class _Fingerprint(click.Group):
    """The scheduler's flags and our own; or `diff`."""

    def __init__(self) -> None:
        summary = "Print the fingerprint that `km scheduler` has with these flags."
        self.line = FlagCommand("fingerprint", run, summary, SCHEDULER, OWN)
        super().__init__("fingerprint", params=self.line.params, commands={"diff": diff}, help=self.line.help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or args[:1] == [diff.name]:
            return super().parse_args(ctx, args)
        if self.line.wants_help(args):
            click.echo(self.get_help(ctx))
            ctx.exit()
        return self.line.parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return self.line.invoke(ctx) if "parsed" in ctx.params else super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.line.format_epilog(ctx, formatter)


fingerprint = _Fingerprint()
