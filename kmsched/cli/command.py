"""click commands made from the table of flags.

Knows how flags look to click: help, completion, the handing over of the raw line to `flags.parse`.  It does not read
values itself, so that the command line, a flags file and Ansible's check obey one parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from kmsched import flags
from kmsched.errors import EXIT_CODES
from kmsched.flags import Flag, Parsed
from kmsched.values import Kind

_HELP_NAMES = {"-h", "--help"}
PASS_THROUGH_NOTE = "Unknown --kubelet-NAME=VALUE and --proxy-NAME=VALUE go to kubelet and kube-proxy as --NAME=VALUE."
FILE_HELP = {
    flags.FLAGS_FILE: "Read flags from this file first, one a line; the command line wins.",
    flags.HOST_FLAGS_FILE: "Read more flags from this file, of this host alone: none that changes executors.",
}


class Words(click.ParamType[str]):
    """A value that `flags` will read; completes choices and paths."""

    name = "text"

    def __init__(self, flag: Flag) -> None:
        self.flag = flag

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return metavar(self.flag)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if self.flag.kind is Kind.PATH:
            return [CompletionItem(incomplete, type="file")]
        choices = ("true", "false") if self.flag.kind is Kind.BOOL else self.flag.choices
        return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]


class FlagCommand(click.Command):
    """A command whose options are the flags of one process; its callback gets the `Parsed` line.

    `also`: flags of the command itself. `complete` False: required flags may be missing.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Parsed], int | None],
        summary: str,
        process: str,
        also: tuple[Flag, ...] = (),
        complete: bool = True,
    ) -> None:
        options = [_option(flag) for flag in (*also, *flags.flags_of(process))]
        options += [
            click.Option([f"--{name}"], metavar="PATH", type=click.Path(), help=words)
            for name, words in FILE_HELP.items()
        ]
        super().__init__(name, params=list(options), help=f"{summary}\n\n{PASS_THROUGH_NOTE}", epilog=epilog())
        self.process = process
        self.also = also
        self.complete = complete
        self.run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # shell completion
            return super().parse_args(ctx, args)
        if self.wants_help(args):
            click.echo(self.get_help(ctx))
            ctx.exit()
        ctx.params = {"parsed": flags.parse(args, self.process, complete=self.complete, also=self.also)}
        return []

    @staticmethod
    def wants_help(args: list[str]) -> bool:
        return bool(_HELP_NAMES & set(args))

    def invoke(self, ctx: click.Context) -> Any:
        return self.run(ctx.params["parsed"])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{self.epilog}\n")


def metavar(flag: Flag) -> str:
    if flag.choices:
        return "|".join(flag.choices)
    if flag.kind is Kind.BOOL:
        return "[true|false]"
    short = {Kind.LIST: "A,B", Kind.ADDRESSES: "A,B", Kind.INT: "N", Kind.ARTIFACT: "URI"}
    return flag.metavar or short.get(flag.kind, flag.kind.value.upper())


def epilog() -> str:
    """The table of exit codes as help shows it."""
    return "\n".join(["Exit codes:", *(f"  {code:>3}  {meaning}" for code, (meaning, _) in EXIT_CODES.items())])


def _option(flag: Flag) -> click.Option:
    notes = [
        "required" if flag.required else "",
        f"default {flag.default}" if flag.default is not None else "",
        "changes the fingerprint" if flag.changes_executors else "",
        "hot" if flag.is_hot else "",
    ]
    shown = "; ".join(note for note in notes if note)
    return click.Option(
        [f"--{flag.name}", flag.key], type=Words(flag), help=f"{flag.help}{f'  [{shown}]' if shown else ''}"
    )
