"""How far a long step is: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

BAR_CELLS = 30

#: stage, bytes done, bytes in all
Progress = Callable[[str, int, int], None]


def progress_of(name: str) -> Progress:
    return bar(name) if sys.stderr.isatty() else lines(name)


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
