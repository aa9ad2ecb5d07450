"""Compiles kube-scheduler's filter plugins as a program that judges JSON lines, to compare ours with.

Knows its one source file; the modules, and so the version, are those of `testbed.kubernetes`.
"""

from __future__ import annotations

from pathlib import Path

from testbed import cache, golang
from testbed.kubernetes import SOURCE, compiled
from testbed.settings import Settings

PRODUCT = "verdicts"
PROGRAM = "verdicts"
PACKAGE = "./verdicts"
PROGRAM_MIB = 150


def inputs(go_version: str) -> dict[str, str | bytes]:
    """All that decides what the compiler makes."""
    files = {str(file.relative_to(SOURCE)): file.read_bytes() for file in sorted(SOURCE.rglob("*")) if file.is_file()}
    return {**files, "go": go_version}


def build(settings: Settings) -> Path:
    """The program; half a minute with the compile cache of Kubernetes' own programs, 10 minutes without."""
    go = golang.find(settings.cache)

    def make(part: Path) -> None:
        compiled(part, go, settings, PRODUCT, {PROGRAM: PACKAGE}, PROGRAM_MIB)

    return cache.produce(settings.cache, PRODUCT, inputs(go.version), make, PROGRAM_MIB) / PROGRAM
