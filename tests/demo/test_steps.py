from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from demo.steps import Screen, StepFailed, Steps, elapsed


def made(tmp_path: Path) -> tuple[Steps, io.StringIO]:
    out = io.StringIO()
    return Steps(Screen(out, is_terminal=False), tmp_path, tmp_path / "logs", count=2), out


def test_a_step_tells_its_name_and_time_and_keeps_its_log(tmp_path: Path) -> None:
    steps, out = made(tmp_path)
    steps.run("Say it", [sys.executable, "-c", "print('hello')"], limit_s=60)
    assert re.fullmatch(r"\[1/2\] Say it +\S+ m?s\n", out.getvalue())
    assert re.fullmatch(r" +\d+\.\d  hello\n", (tmp_path / "logs" / "1-say-it.log").read_text())


def test_a_step_that_fails_names_itself_its_command_its_last_words_and_its_log(tmp_path: Path) -> None:
    steps, _ = made(tmp_path)
    with pytest.raises(StepFailed) as failure:
        steps.run("Break it", [sys.executable, "-c", "import sys; sys.exit('no disk')"], limit_s=60)
    message = str(failure.value)
    assert "step 1, Break it: exit code 1 of: " in message
    assert "    no disk\n" in message
    assert message.endswith(f"whole log: {tmp_path / 'logs' / '1-break-it.log'}")


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    steps, _ = made(tmp_path)
    with pytest.raises(StepFailed, match="not done after 0 s"):
        steps.run("Wait", [sys.executable, "-c", "import time; time.sleep(600)"], limit_s=0.2)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    steps, _ = made(tmp_path)
    with pytest.raises(StepFailed, match="cannot run /no/such/program"):
        steps.run("Run", ["/no/such/program"], limit_s=60)


@pytest.mark.parametrize(("seconds", "words"), [(0.85, "850 ms"), (7.26, "7.3 s"), (725, "12m05s"), (0, "0 ms")])
def test_durations_are_short(seconds: float, words: str) -> None:
    assert elapsed(seconds) == words


def test_a_terminal_has_passing_lines_written_over() -> None:
    out = io.StringIO()
    screen = Screen(out, is_terminal=True)
    screen.passing("building 1 s")
    screen.line("built")
    assert out.getvalue() == "building 1 s\r\033[Kbuilt\n"
