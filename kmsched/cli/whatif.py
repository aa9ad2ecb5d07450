"""`km whatif`: which pods would go where, and why not elsewhere, without any server.

Knows options and output.  Files are read and judged by `kmsched.whatif`.
"""

from __future__ import annotations

import sys
from typing import BinaryIO

import click
import msgspec

from kmsched.errors import EXIT_OK, ConfigRefused, UsageError

STDIN = "-"


@click.command()
@click.option(
    "--verdicts", "as_verdicts", is_flag=True, help="Read cases from SOURCE, write a line of verdicts for each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("source", required=False)
def whatif(as_verdicts: bool, as_json: bool, source: str | None) -> int:
    """Tell where pods would go, and why not elsewhere, without any server.

    With --verdicts, SOURCE (a file, or - for standard input) has on each line a JSON object
    {"nodes": [Node], "pods": [bound Pod], "pending": [Pod]}; for each the answer is one line with a JSON array, which
    has for each pending pod on its own an object {"<node>": "" or "<Filter>: <reason>"}.
    """
    if not as_verdicts:
        raise UsageError("km whatif does --verdicts SOURCE; give it")
    if source is None:
        raise UsageError("--verdicts needs SOURCE: a file of JSON lines, or - for standard input")
    _verdicts(source)
    return EXIT_OK


def _verdicts(source: str) -> None:
    if source == STDIN:
        _answer(sys.stdin.buffer, "standard input")
        return
    try:
        with open(source, "rb") as lines:  # noqa: PTH123 - a name like '' is refused alike
            _answer(lines, source)
    except OSError as error:
        raise ConfigRefused(f"cannot read {source!r}: {error.strerror}; name a file of JSON lines, or -") from None


def _answer(lines: BinaryIO, where: str) -> None:
    """Each answer is out before the next line is read: whoever asks may wait for it."""
    from kmsched.whatif.verdicts import answers

    out = sys.stdout.buffer
    for each in answers(lines, where):
        out.write(msgspec.json.encode(each) + b"\n")
        out.flush()
