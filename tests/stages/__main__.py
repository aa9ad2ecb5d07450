"""`python3 -m tests.stages` in the project's root folder, as root: all stages, their times, and one closing line.

Stops at the first stage that fails or takes longer than its budget. Whatever happens, the testbed is taken down.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from tests.stages import table
from tests.stages.running import Running, closing_line
from tests.stages.table import Lane, Stage

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
#: a stage that is late may end by itself, so that it can be seen by how much
LATE_FACTOR = 2.0


_SPEAKING = threading.Lock()


def say(line: str) -> None:
    with _SPEAKING:
        print(line, flush=True)


@dataclass(slots=True)
class Passage:
    """How a lane went: why it failed, "" if it did not, and what pytest counted in it."""

    failure: str = "interrupted"
    counts: Counter[str] = field(default_factory=Counter)


def pass_lane(lane: Lane, limit_s: float, tell: Callable[[str], None], running: Running) -> Passage:
    passage, started = Passage(), time.monotonic()
    for command in lane.commands:
        tell(f"$ {' '.join(command)}")
        outcome = running.run(command, max(1.0, started + limit_s - time.monotonic()), tell, dict(lane.environ))
        passage.counts += outcome.counts
        if outcome.is_late:
            passage.failure = f"{' '.join(command)}: ended after {limit_s:.0f} s"
            return passage
        if outcome.code != 0:
            passage.failure = f"{' '.join(command)}: exit code {outcome.code}"
            return passage
    passage.failure = ""
    return passage


def run_stage(stage: Stage, counts: Counter[str]) -> str:
    """Why it failed; "" if it did not. Adds what pytest counted to `counts`."""
    limit_s = stage.budget_s * LATE_FACTOR if stage.budget_s else table.LONGEST_S
    started = time.monotonic()
    passages = {lane.name: Passage() for lane in stage.lanes}
    running = Running()

    def follow(lane: Lane) -> None:
        lane_started = time.monotonic()
        head = f"{lane.name}| " if len(stage.lanes) > 1 else ""
        passages[lane.name] = pass_lane(lane, limit_s, lambda line: say(head + line), running)
        if head:
            say(f"===== {lane.name}: {time.monotonic() - lane_started:.1f} s {passages[lane.name].failure} =====")

    threads = [threading.Thread(target=follow, args=(lane,)) for lane in stage.lanes]
    try:
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        running.end()
        for each in (started for started in threads if started.ident):
            each.join()
        for passage in passages.values():
            counts += passage.counts
    took_s = time.monotonic() - started
    failures = [passage.failure for passage in passages.values() if passage.failure]
    if not failures and stage.budget_s is not None and took_s > stage.budget_s:
        failures = [f"took {took_s:.0f} s, and its budget is {stage.budget_s:.0f} s"]
    return "; ".join(failures)


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
        outcome = Running().run(command, table.CLEAN_UP_S, say, {})
        if outcome.code != 0:
            say(f"{' '.join(command)}: exit code {outcome.code}")
            is_down = False
    counts["error"] += not is_down
    return is_down


def main() -> int:
    argparse.ArgumentParser(prog="tests.stages", description="All stages of tests, one after the other.").parse_args()
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # one stream, in order
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    started = time.monotonic()
    times: list[str] = []
    counts: Counter[str] = Counter()
    code = EXIT_FAILED
    try:
        code = EXIT_OK if run_all(table.STAGES, times, counts) else EXIT_FAILED
    except KeyboardInterrupt as interrupt:
        code = EXIT_INTERRUPTED
        counts["error"] += 1
        say(f"interrupted by {interrupt}")
    finally:
        if not take_down(counts):
            code = code or EXIT_FAILED
        say("\n".join(["", *times, ""]))
        say(closing_line(counts, time.monotonic() - started))
    return code


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    sys.exit(main())
