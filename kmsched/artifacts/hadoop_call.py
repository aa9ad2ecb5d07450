"""One command line of `hadoop fs`: its options, arguments, output and the errors that it has met.

Knows how Hadoop's own client reads options and tells errors: one line each, and 1 at the end if there was any.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from kmsched.artifacts.hadoop_paths import Files, Item, Misuse
from kmsched.errors import KmError

EXIT_ERROR = 1
#: -1 in Java
EXIT_MISUSE = 255


@dataclass(frozen=True, slots=True)
class Command:
    """`options` are flags without the dash; between `least` and `most` arguments follow them."""

    run: Callable[[Call], None]
    usage: str
    says: str
    options: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    least: int = 1
    most: int | None = None


@dataclass
class Call:
    """A command while it runs; `errors` becomes its exit code."""

    name: str
    command: Command
    files: Files
    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO
    options: frozenset[str] = frozenset()
    arguments: list[str] = field(default_factory=list)
    errors: int = 0

    def parse(self, words: Sequence[str]) -> None:
        """Options end at the first word that is none. Misuse."""
        found, rest = set(), list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0).removeprefix("-")
            if word == "-":
                break
            if word in self.command.valued and rest:
                rest.pop(0)
            elif word not in self.command.options:
                raise Misuse(f"Illegal option -{word}")
            found.add(word)
        self.options, self.arguments = frozenset(found), rest
        self.need(self.command.least)
        if self.command.most is not None and len(rest) > self.command.most:
            raise Misuse(f"Too many arguments: expected {self.command.most} but got {len(rest)}")

    def need(self, least: int) -> None:
        if len(self.arguments) < least:
            raise Misuse(f"Not enough arguments: expected {least} but got {len(self.arguments)}")

    def has(self, option: str) -> bool:
        return option in self.options

    def expand(self) -> list[Item]:
        """All arguments as paths of HDFS; those that cannot be are told and left out."""
        found: list[Item] = []
        for typed in self.arguments:
            with self.complaining():
                found += self.files.expanded(typed)
        return found

    @contextlib.contextmanager
    def complaining(self) -> Iterator[None]:
        """What goes wrong inside is told, counted, and over."""
        try:
            yield
        except BrokenPipeError:
            raise
        except Misuse:
            raise
        except KmError as error:
            self.complain(str(error))
        except OSError as error:
            self.complain(f"`{error.filename}': {error.strerror}" if error.filename else str(error))

    def complain(self, what: str) -> None:
        self.errors += 1
        self.say(f"{self.name}: {what}")

    def say(self, line: str) -> None:
        self.stderr.write(f"{line}\n".encode(errors="surrogateescape"))
        self.stderr.flush()

    def line(self, line: str) -> None:
        self.write(f"{line}\n".encode(errors="surrogateescape"))

    def write(self, content: bytes) -> None:
        self.stdout.write(content)
