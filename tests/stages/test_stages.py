"""The stage runner: what it reads off pytest's closing lines, and how a command ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.stages import running, table
from tests.stages.__main__ import run_stage
from tests.stages.running import Running
from tests.stages.table import Lane, Stage, in_a_row


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
    script = "import os; print(os.environ['WORD']); print('7 passed in 1.00s')"
    outcome = Running().run([sys.executable, "-c", script], 60, lines.append, {"WORD": "hello"})
    assert (outcome.code, outcome.counts, outcome.is_late) == (0, Counter(passed=7), False)
    assert lines == ["hello", "7 passed in 1.00s"]


def test_a_late_command_is_ended() -> None:
    outcome = Running().run([sys.executable, "-c", "import time; time.sleep(600)"], 0.2, lambda line: None, {})
    assert outcome.is_late
    assert outcome.code != 0


@pytest.mark.parametrize(
    ("script", "budget_s", "words"),
    [("raise SystemExit(3)", 60, "exit code 3"), ("pass", 0.0001, "and its budget is"), ("pass", 60, "")],
)
def test_a_stage_fails_by_exit_code_and_by_time(script: str, budget_s: float, words: str) -> None:
    failure = run_stage(in_a_row("one", (sys.executable, "-c", script), budget_s=budget_s), Counter())
    assert words in failure
    assert bool(failure) == bool(words)


def lane(name: str, script: str, *environ: tuple[str, str]) -> Lane:
    return Lane(name, ((sys.executable, "-c", script),), environ)


def test_lanes_run_side_by_side_and_are_counted_together(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    # each waits for the other's file
    script = (
        "import os, pathlib, time; me, other = os.environ['ME'], os.environ['OTHER']; pathlib.Path(me).touch()\n"
        "while not pathlib.Path(other).exists(): time.sleep(0.01)\n"
        "print('2 passed in 1.00s')"
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    lanes = (lane("a", script, ("ME", one), ("OTHER", two)), lane("b", script, ("ME", two), ("OTHER", one)))
    counts: Counter[str] = Counter()
    assert run_stage(Stage("both", lanes, 60), counts) == ""
    assert counts == Counter(passed=4)
    told = capfd.readouterr().out.splitlines()
    assert "a| 2 passed in 1.00s" in told and "b| 2 passed in 1.00s" in told


def test_a_lane_that_fails_leaves_the_other_to_its_end() -> None:
    counts: Counter[str] = Counter()
    failing = lane("a", "print('1 failed in 0.10s'); raise SystemExit(1)")
    failure = run_stage(Stage("both", (failing, lane("b", "print('3 passed in 0.10s')"))), counts)
    assert failure.endswith("exit code 1")
    assert counts == Counter(failed=1, passed=3)


def test_an_interrupted_stage_ends_all_lanes(tmp_path: Path) -> None:
    script = "import os, pathlib, time; pathlib.Path(os.environ['ME']).touch(); time.sleep(600)"
    marks = [tmp_path / "one", tmp_path / "two"]

    def interrupt() -> None:
        while not all(each.exists() for each in marks):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        run_stage(Stage("both", tuple(lane(each.name, script, ("ME", str(each))) for each in marks)), Counter())
    interrupter.join()


def test_nothing_begins_after_the_end() -> None:
    commands = Running()
    commands.end()
    assert commands.run([sys.executable, "-c", "print('here')"], 60, pytest.fail, {}).code != 0


def test_the_budgets() -> None:
    assert {stage.name: stage.budget_s for stage in table.STAGES if stage.budget_s} == {
        "check": 90,
        "unit and simulation": 360,
        "scenarios": 1500,
    }


def test_lanes_have_testbeds_of_their_own() -> None:
    for stage in table.STAGES:
        names = [dict(each.environ).get("KM_TESTBED_NAME", "") for each in stage.lanes]
        nets = [dict(each.environ).get("KM_TESTBED_NET", "") for each in stage.lanes]
        assert len(set(names)) == len(set(nets)) == len(stage.lanes), stage.name


def test_every_scenario_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    everything = sorted(str(each) for each in Path("tests/scenarios").glob("test_*.py"))
    found: list[str] = []
    for command in (each for stage in table.STAGES for lane in stage.lanes for each in lane.commands):
        if "tests/scenarios" in command:
            ignored = {each.removeprefix("--ignore=") for each in command if each.startswith("--ignore=")}
            found += [each for each in everything if each not in ignored]
        found += [each for each in command if each.startswith("tests/scenarios/")]
    assert sorted(found) == everything
