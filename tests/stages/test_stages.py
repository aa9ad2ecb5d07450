"""The stage runner: what it reads off pytest's closing lines, and how a command ends."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.stages import running, table
from tests.stages.__main__ import run_stage
from tests.stages.table import Stage


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("3 passed in 0.12s", {"passed": 3}),
        (
            "=== 2 failed, 11 passed, 1 skipped, 2 errors in 63.10s (0:01:03) ===",
            {"failed": 2, "passed": 11, "skipped": 1, "error": 2},
        ),
        ("==== 1 failed, 1 warning in 1.00s ====", {"failed": 1, "warning": 1}),
        ("deployed 3 passed in 4s", None),
        ("600 seeds from 0: 0 failed, 31.0 s", None),
        ("", None),
    ],
)
def test_closing_lines_are_read(line: str, counts: dict[str, int] | None) -> None:
    assert running.counted(line) == (None if counts is None else Counter(counts))


def test_a_closing_line_reads_like_pytests_own() -> None:
    counts = Counter({"passed": 640, "failed": 2, "error": 1})
    line = running.closing_line(counts, 1203.2)
    assert line == "2 failed, 640 passed, 1 error in 1203.20s (0:20:03)"
    assert running.counted(line) == counts


def test_output_is_passed_on_and_counted() -> None:
    lines: list[str] = []
    outcome = running.run([sys.executable, "-c", "print('hello'); print('7 passed in 1.00s')"], 60, lines.append)
    assert (outcome.code, outcome.counts, outcome.is_late) == (0, Counter(passed=7), False)
    assert lines == ["hello", "7 passed in 1.00s"]


def test_a_late_command_is_ended() -> None:
    outcome = running.run([sys.executable, "-c", "import time; time.sleep(600)"], 0.2, lambda line: None)
    assert outcome.is_late
    assert outcome.code != 0


@pytest.mark.parametrize(
    ("script", "budget_s", "words"),
    [("raise SystemExit(3)", 60, "exit code 3"), ("pass", 0.0001, "and its budget is"), ("pass", 60, "")],
)
def test_a_stage_fails_by_exit_code_and_by_time(script: str, budget_s: float, words: str) -> None:
    failure = run_stage(Stage("one", ((sys.executable, "-c", script),), budget_s), Counter())
    assert words in failure
    assert bool(failure) == bool(words)


def test_the_budgets() -> None:
    assert {stage.name: stage.budget_s for stage in table.stages() if stage.budget_s} == {
        "check": 90,
        "unit and simulation": 360,
        "placement": 120,
        "scenarios of HDFS": 480,
        "scenarios": 1200,
        "scenarios of several schedulers": 1200,
    }


def scenarios_of(stages: Sequence[Stage]) -> list[str]:
    """Files of scenarios that stages run, once for each time."""
    found: list[str] = []
    for stage in stages:
        for command in stage.commands:
            if "tests/scenarios" in command:
                ignored = {each.removeprefix("--ignore=") for each in command if each.startswith("--ignore=")}
                found += [str(each) for each in Path("tests/scenarios").glob("test_*.py") if str(each) not in ignored]
            found += [each for each in command if each.startswith("tests/scenarios/")]
    return sorted(found)


def test_every_scenario_is_run_once_and_what_is_left_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    everything = sorted(str(each) for each in Path("tests/scenarios").glob("test_*.py"))
    assert scenarios_of(table.stages(())) == everything
    assert scenarios_of(table.stages()) == sorted(set(everything) - set(table.LONG))
    assert set(table.LONG) < set(everything)
