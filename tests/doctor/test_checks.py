"""The table: a healthy world has nothing to say, and a check that cannot be made says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from kmsched.doctor.checks import CHECKS, examine
from kmsched.doctor.findings import FLAGS, Check, Found, NotChecked, Severity, finding, refused, stricter
from kmsched.doctor.subject import Subject
from kmsched.errors import Unavailable
from tests import virtual_time
from tests.clients.fakes import Reply
from tests.doctor.patients import PEER, World

UNSEEN = "agents-unseen"


def test_a_healthy_world(tmp_path: Path) -> None:
    results = virtual_time.run(examine(World(tmp_path).subject()))
    assert [each.check for each in results] == list(CHECKS)
    assert {each.check.name: each.findings for each in results if each.findings}.keys() == {UNSEEN}


def test_a_healthy_world_of_several_schedulers(tmp_path: Path) -> None:
    results = virtual_time.run(examine(World(tmp_path).subject(*PEER)))
    assert {each.check.name: each.findings for each in results if each.findings}.keys() == {UNSEEN}


def test_names_are_unique_and_every_row_has_words() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(check.looks_at and check.remedy for check in CHECKS)


def test_upstreams_that_are_away_leave_nothing_silent(tmp_path: Path) -> None:
    world = World(tmp_path, {"http": Reply(503, [b"away"])})
    results = {each.check.name: each.findings for each in virtual_time.run(examine(world.subject()))}
    errors = [name for name, findings in results.items() if any(each.severity is Severity.ERROR for each in findings)]
    assert errors == ["kubernetes-api", "mesos-masters"]
    for name in ("kubernetes-rights", "mesos-principal", "mesos-role", "mesos-quota", "mesos-framework",
                 "mesos-agents", "state-framework-id"):  # fmt: skip
        assert [each.message.startswith("not checked: ") for each in results[name]] == [True], name
    assert any("not checked: version of mesos" in each.message for each in results["versions"])


def test_a_check_that_breaks_or_hangs_does_not_hide_the_others(tmp_path: Path) -> None:
    async def breaks(_: Subject) -> Sequence[Found]:
        raise ZeroDivisionError("by zero")

    async def hangs(_: Subject) -> Sequence[Found]:
        await asyncio.Event().wait()
        return ()

    async def refuses(_: Subject) -> Sequence[Found]:
        raise NotChecked("no way there")

    async def may_not_look(_: Subject) -> Sequence[Found]:
        raise PermissionError(13, "Permission denied", "/root/x")

    async def is_away(_: Subject) -> Sequence[Found]:
        raise Unavailable("m:5050 is away")

    table = [
        Check(run.__name__, "", Severity.ERROR, "cure it", run)
        for run in (breaks, hangs, refuses, may_not_look, is_away)
    ]
    results = virtual_time.run(examine(World(tmp_path).subject(), table, limit_s=3))
    assert [each.message for result in results for each in result.findings] == [
        "not checked: a defect of km: ZeroDivisionError: by zero",
        "not checked: not done within 3 s",
        "not checked: no way there",
        "not checked: /root/x cannot be seen by this user; run the doctor as the scheduler's user",
        "not checked: m:5050 is away",
    ]
    assert {each.severity for result in results for each in result.findings} == {Severity.WARNING}


def test_what_a_finding_leaves_out_is_its_rows() -> None:
    check = Check("c", "looks", Severity.ERROR, "cure it", FLAGS.run)
    assert json.dumps(finding(check, Found("bad")).as_json()) == json.dumps(
        {"check": "c", "severity": "error", "message": "bad", "remedy": "cure it"}
    )
    own = finding(check, Found("odd", "leave it", Severity.NOTE))
    assert (own.severity, own.remedy) == (Severity.NOTE, "leave it")


def test_strictness_takes_warnings_for_errors_and_leaves_notes() -> None:
    result = refused("contradiction")
    warned = finding(FLAGS, Found("w", severity=Severity.WARNING))
    noted = finding(FLAGS, Found("n", severity=Severity.NOTE))
    made = stricter(type(result)(FLAGS, (*result.findings, warned, noted)))
    assert [each.severity.value for each in made.findings] == ["error", "error", "note"]
