"""`km doctor`: its options, its output, its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kmsched.cli.doctor import doctor, lines, summary
from kmsched.doctor.findings import FLAGS, Found, Result, Severity, finding, refused
from kmsched.errors import EXIT_MISMATCH

#: nobody listens there
NOBODY = "127.0.0.1:1"


def run(*arguments: str) -> tuple[int, str]:
    made = CliRunner().invoke(doctor, list(arguments), standalone_mode=False)
    if made.exception is not None:
        raise made.exception
    return made.return_value, made.stdout


def test_flags_that_contradict_each_other_are_a_finding_too() -> None:
    code, output = run(f"--mesos-master={NOBODY}", "--km-path=/km", "--json")
    assert code == EXIT_MISMATCH
    [only] = json.loads(output)
    assert only["check"] == "flags"
    assert only["severity"] == "error"
    assert only["message"].startswith("neither --kubeconfig nor --api-servers is given")
    assert only["remedy"]


def test_without_any_upstream_every_check_still_speaks(tmp_path: Path) -> None:
    (tmp_path / "km").write_bytes(b"km")
    flags_file = tmp_path / "flags"
    flags_file.write_text(
        f"--mesos-master={NOBODY}\n--api-servers=http://{NOBODY}\n--state-dir={tmp_path}\n"
        f"--km-path={tmp_path}/km\n--kubelet-path={tmp_path}/km\n--proxy-path={tmp_path}/km\n"
    )
    code, output = run(f"--flags-file={flags_file}", "--json")
    listed: list[dict[str, Any]] = json.loads(output)
    assert code == EXIT_MISMATCH
    assert {each["check"] for each in listed if each["severity"] == "error"} == {"kubernetes-api", "mesos-masters"}
    assert {frozenset(each) for each in listed} == {frozenset({"check", "severity", "message", "remedy"})}
    _, text = run(f"--flags-file={flags_file}")
    assert "error    mesos-masters: no Mesos master answers: 127.0.0.1:1: no connection" in text
    assert "ok       flags: " in text
    assert text.splitlines()[-1].startswith("2 errors, ")


@pytest.mark.parametrize(("severity", "words"), [(Severity.WARNING, "0 errors, 1 warnings, 0 notes")])
def test_a_summary_counts(severity: Severity, words: str) -> None:
    each = finding(FLAGS, Found("odd", severity=severity))
    assert summary([each]) == words
    assert next(lines([Result(FLAGS, (each,))])) == "warning  flags: odd"


def test_strict_is_no_flag_of_the_scheduler() -> None:
    code, output = run("--strict", f"--mesos-master={NOBODY}", "--km-path=/km", "--json")
    assert code == EXIT_MISMATCH
    assert json.loads(output) == [each.as_json() for each in refused(json.loads(output)[0]["message"]).findings]


def test_a_check_that_found_nothing_has_a_line() -> None:
    assert list(lines([Result(FLAGS, ())])) == [f"ok       flags: {FLAGS.looks_at}"]
