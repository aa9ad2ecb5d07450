"""`python3 -m tests.stages` in the project's root folder, as root: all stages, their times, and one closing line.

With `--long` also the files of scenarios that are left out otherwise, which it names.

Stops at the first stage that fails or takes longer than its budget. Whatever happens, the testbed is taken down.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import FrameType

from tests.stages import running, table
from tests.stages.table import Stage

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
#: a stage that is late may end by itself, so that it can be seen by how much
LATE_FACTOR = 2.0


def say(line: str) -> None:
    print(line, flush=True)


def run_stage(stage: Stage, counts: Counter[str]) -> str:
    """Why it failed; "" if it did not. Adds what pytest counted to `counts`."""
    limit_s = stage.budget_s * LATE_FACTOR if stage.budget_s else table.LONGEST_S
    started = time.monotonic()
    for command in stage.commands:
        say(f"$ {' '.join(command)}")
        outcome = running.run(command, max(1.0, started + limit_s - time.monotonic()), say)
        counts += outcome.counts
        if outcome.is_late:
            return f"{' '.join(command)}: ended after {limit_s:.0f} s"
        if outcome.code != 0:
            return f"{' '.join(command)}: exit code {outcome.code}"
    took_s = time.monotonic() - started
    if stage.budget_s is not None and took_s > stage.budget_s:
        return f"took {took_s:.0f} s, and its budget is {stage.budget_s:.0f} s"
    return ""


def run_all(stages: Sequence[Stage], times: list[str], counts: Counter[str]) -> bool:
    """Whether all stages passed."""
    for stage in stages:
        say(f"\n===== stage: {stage.name} =====")
        started, before = time.monotonic(), counts.copy()
        failure = "interrupted"
        try:
            failure = run_stage(stage, counts)
        finally:
            took_s = time.monotonic() - started
            budget = f"of {stage.budget_s:.0f} s" if stage.budget_s else "no budget"
            verdict = f"FAILED: {failure}" if failure else "passed"
            times.append(f"{stage.name:<20} {took_s:7.1f} s  {budget:<11} {verdict}")
            say(f"===== {times[-1]} =====")
        if failure:
            # a failure that pytest did not count is one all the same
            if counts["failed"] + counts["error"] == before["failed"] + before["error"]:
                counts["error"] += 1
            return False
    return True


def take_down(counts: Counter[str]) -> bool:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    is_down = True
    for command in table.CLEAN_UP:
        outcome = running.run(command, table.CLEAN_UP_S, say)
        if outcome.code != 0:
            say(f"{' '.join(command)}: exit code {outcome.code}")
            is_down = False
    counts["error"] += not is_down
    return is_down


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.stages", description="All stages of tests, one after the other.")
    parser.add_argument("--long", action="store_true", help=f"also {', '.join(table.LONG)}")
    left_out = () if parser.parse_args().long else table.LONG
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # one stream, in order
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    started = time.monotonic()
    times: list[str] = []
    counts: Counter[str] = Counter()
    code = EXIT_FAILED
    try:
        code = EXIT_OK if run_all(table.stages(left_out), times, counts) else EXIT_FAILED
    except KeyboardInterrupt as interrupt:
        code = EXIT_INTERRUPTED
        counts["error"] += 1
        say(f"interrupted by {interrupt}")
    finally:
        if not take_down(counts):
            code = code or EXIT_FAILED
        say("\n".join(["", *times, ""]))
        if left_out:
            say(f"left to `make test-long`: {', '.join(left_out)}\n")
        say(running.closing_line(counts, time.monotonic() - started))
    return code


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    sys.exit(main())
