"""One command of a stage: its output passed on line by line, its end, and what pytest counted in it.

Knows processes and pytest's closing line. The command gets a process group of its own, so that all of it can be ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

#: how long an interrupted command may take to clean up
PATIENCE_S = 60.0
#: "=== 3 failed, 20 passed in 7.31s (0:00:07) ===", with or without its frame
CLOSING = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$")
COUNTED = re.compile(r"(\d+) ([a-z]+)")
SINGULAR = {"errors": "error", "warnings": "warning"}


@dataclass(slots=True)
class Outcome:
    """`code` is the exit code, negative for a signal; `counts` what pytest said: passed, failed, error..."""

    code: int
    counts: Counter[str] = field(default_factory=Counter)
    is_late: bool = False


def counted(line: str) -> Counter[str] | None:
    """What pytest's closing line says; None if the line is none."""
    match = CLOSING.match(line.strip())
    if match is None:
        return None
    found: Counter[str] = Counter()
    for number, word in COUNTED.findall(match[1]):
        found[SINGULAR.get(word, word)] += int(number)
    return found


def closing_line(counts: Counter[str], duration_s: float) -> str:
    """As pytest writes it: "2 failed, 640 passed in 1203.20s (0:20:03)"."""
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
    words = [f"{counts[word]} {word}{_plural(word, counts[word])}" for word in order if counts[word]]
    minutes, seconds = divmod(int(duration_s), 60)
    clock = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    return f"{', '.join(words) or 'no tests ran'} in {duration_s:.2f}s ({clock})"


def _plural(word: str, count: int) -> str:
    return "s" if word in SINGULAR.values() and count != 1 else ""


class Running:
    """The commands that run now, in any thread: all of them can be ended, and then none begins any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._is_ended = False

    def run(
        self, command: Sequence[str], limit_s: float, say: Callable[[str], None], environ: Mapping[str, str]
    ) -> Outcome:
        """Runs it, with `environ` added to our own; past `limit_s` seconds it is interrupted and then killed."""
        outcome = Outcome(0)
        with self._lock:
            if self._is_ended:
                return Outcome(-signal.SIGINT)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                env={**os.environ, **environ},
            )
            self._processes.add(process)

        def late() -> None:
            outcome.is_late = True
            end(process)

        timer = threading.Timer(limit_s, late)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                outcome.counts += counted(line) or Counter()
                say(line.rstrip("\n"))
            outcome.code = process.wait()
        except BaseException:
            end(process)
            raise
        finally:
            timer.cancel()
            with self._lock:
                self._processes.discard(process)
            if process.stdout is not None:
                process.stdout.close()
        return outcome

    def end(self) -> None:
        """Ends all of them at once."""
        with self._lock:
            self._is_ended = True
            found = list(self._processes)
        enders = [threading.Thread(target=end, args=(each,)) for each in found]
        for each in enders:
            each.start()
        for each in enders:
            each.join()


def end(process: subprocess.Popen[str]) -> None:
    """SIGINT to the whole group, and SIGKILL to what is left of it after PATIENCE_S."""
    for number, patience_s in ((signal.SIGINT, PATIENCE_S), (signal.SIGKILL, PATIENCE_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
