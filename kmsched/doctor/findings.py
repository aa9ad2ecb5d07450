"""What a check is and what it may say.

Knows severities and the form of a finding, and that a check which cannot be made says so.  It knows no check.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kmsched.errors import KmError

if TYPE_CHECKING:
    from kmsched.doctor.subject import Subject

NOT_CHECKED = "not checked: "
NOT_CHECKED_REMEDY = "cure the cause and run the doctor again; until then nothing is known of this"


class Severity(enum.Enum):
    """ERROR: pods cannot be placed, or will be lost. WARNING: it will go wrong some day. NOTE: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be looked at."""

    check: str
    severity: Severity
    message: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {
            "check": self.check,
            "severity": self.severity.value,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says; what it leaves out is its row's."""

    message: str
    remedy: str = ""
    severity: Severity | None = None


class NotChecked(KmError):
    """The check cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row: `remedy` and `severity` hold for all that it finds, unless a finding says otherwise.

    `at_start`: also made when the scheduler starts, so it must be cheap; `run_at_start`: what is cheap of it.
    """

    name: str
    looks_at: str
    severity: Severity
    remedy: str
    run: Callable[[Subject], Awaitable[Sequence[Found]]]
    at_start: bool = False
    run_at_start: Callable[[Subject], Awaitable[Sequence[Found]]] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One check that was made, or could not be made; nothing in `findings` means: all is well."""

    check: Check
    findings: tuple[Finding, ...]


async def _fit(_: Subject) -> Sequence[Found]:
    """There is a configuration to look at, so its flags fit each other."""
    return ()


FLAGS = Check(
    "flags",
    "the flags, each by itself and all together, as `km flags --check`",
    Severity.ERROR,
    "correct the flag that is named; docs/flags.md has them all",
    _fit,
)


def refused(words: str) -> Result:
    """All that can be said when flags contradict each other: there is nothing else to look at then."""
    return Result(FLAGS, (finding(FLAGS, Found(words)),))


def finding(check: Check, found: Found) -> Finding:
    remedy = NOT_CHECKED_REMEDY if found.message.startswith(NOT_CHECKED) else check.remedy
    return Finding(check.name, found.severity or check.severity, found.message, found.remedy or remedy)


def unchecked(check: Check, why: str) -> Finding:
    """It could not be looked at, so it may be as bad as the check can find, and nobody knows."""
    return finding(check, Found(f"{NOT_CHECKED}{why}", severity=Severity.WARNING))


def stricter(result: Result) -> Result:
    """The same, with warnings taken for errors."""
    return Result(
        result.check,
        tuple(
            replace(each, severity=Severity.ERROR) if each.severity is Severity.WARNING else each
            for each in result.findings
        ),
    )
