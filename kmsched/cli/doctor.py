"""`km doctor`: looks at all that a scheduler with these flags depends on, and says what is wrong and what to do.

Knows options and output.  What is looked at is the table in `kmsched.doctor.checks`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator

import click

from kmsched import config, flags, log
from kmsched.cli.command import FlagCommand
from kmsched.config import SchedulerConfig
from kmsched.doctor.findings import Finding, Result, Severity, refused, stricter
from kmsched.errors import EXIT_MISMATCH, EXIT_OK, ConfigRefused
from kmsched.flags import Parsed

_JSON, _STRICT = "--json", "--strict"


class _DoctorCommand(FlagCommand):
    """The scheduler's flags, --json and --strict."""

    def __init__(self) -> None:
        super().__init__(
            "doctor",
            lambda _parsed: EXIT_OK,
            "Check everything that `km scheduler` with these flags depends on; nothing is changed. Exit code 0: no"
            " errors; 14: there are some.",
            flags.SCHEDULER,
        )
        self.params.append(click.Option([_JSON], is_flag=True, help="Print a list of findings as JSON."))
        self.params.append(click.Option([_STRICT], is_flag=True, help="Take warnings for errors."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, [argument for argument in args if argument not in (_JSON, _STRICT)])
        ctx.params["as_json"], ctx.params["is_strict"] = _JSON in args, _STRICT in args
        return rest

    def invoke(self, ctx: click.Context) -> int:
        parsed: Parsed = ctx.params["parsed"]
        log.setup(parsed["log-format"], "error")
        try:
            settings = config.build(parsed)
        except ConfigRefused as error:
            results = [refused(str(error))]
        else:
            results = asyncio.run(diagnose(settings))
        if ctx.params["is_strict"]:
            results = [stricter(each) for each in results]
        findings = [finding for each in results for finding in each.findings]
        if ctx.params["as_json"]:
            click.echo(json.dumps([each.as_json() for each in findings], indent=2))
        else:
            click.echo("\n".join([*lines(results), summary(findings)]))
        return EXIT_MISMATCH if any(each.severity is Severity.ERROR for each in findings) else EXIT_OK


async def diagnose(settings: SchedulerConfig) -> list[Result]:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock
    from kmsched.daemon.main import read_artifact
    from kmsched.daemon.patient import subject
    from kmsched.doctor.checks import examine

    async with subject(
        settings,
        clock=SystemClock(),
        make_transport=AiohttpTransport,
        environment=os.environ,
        read=read_artifact,
    ) as examined:
        return await examine(examined)


def lines(results: Iterable[Result]) -> Iterator[str]:
    """A line for each check that found nothing, two for each finding."""
    for each in results:
        if not each.findings:
            yield f"ok       {each.check.name}: {each.check.looks_at}"
        for finding in each.findings:
            yield f"{finding.severity.value:8} {finding.check}: {finding.message}"
            yield f"         what to do: {finding.remedy}"


def summary(findings: Iterable[Finding]) -> str:
    counted = [each.severity for each in findings]
    return ", ".join(f"{counted.count(severity)} {severity.value}s" for severity in Severity)


doctor = _DoctorCommand()
