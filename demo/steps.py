"""Long commands as steps: what runs, for how long so far, where its log is, and what it said last when it failed.

Knows processes and lines of text, and nothing of what the commands do.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

#: a step that takes longer says so this often, when nobody watches on a terminal
REPORT_EVERY_S = 20.0
REFRESH_EVERY_S = 1.0
END_GRACE_S = 30.0
TAIL_LINES = 15
MAX_LINE_CHARS = 90
MAX_LOG_NAME_CHARS = 24


class StepFailed(Exception):
    """A step did not do its work; the message says which, why, and where its log is."""


@dataclass(slots=True)
class Screen:
    """Where people read. On a terminal a line may be written over; else every line stays."""

    out: IO[str]
    is_terminal: bool
    _is_open: bool = False

    def line(self, text: str) -> None:
        self._wipe()
        print(text, file=self.out, flush=True)

    def passing(self, text: str) -> None:
        """A line that the next one replaces, where that is possible."""
        if not self.is_terminal:
            self.line(text)
            return
        self._wipe()
        print(text, end="", file=self.out, flush=True)
        self._is_open = True

    def _wipe(self) -> None:
        if self._is_open:
            print("\r\033[K", end="", file=self.out)
            self._is_open = False


@dataclass(slots=True)
class Steps:
    """Runs commands one after the other. `logs`: a folder; `count`: how many there will be."""

    screen: Screen
    root: Path
    logs: Path
    count: int
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def run(self, title: str, command: Sequence[str], limit_s: float, environ: Mapping[str, str] | None = None) -> None:
        """Runs it in the project's root folder, without standard input.

        Raises:
            StepFailed: it cannot be started, ends with another code than 0, or takes longer than `limit_s`.
        """
        head = self.begin(title)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{self._done}-{re.sub('[^a-z0-9]+', '-', title.lower())[:MAX_LOG_NAME_CHARS].strip('-')}.log"
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as kept:
            try:
                child = subprocess.Popen(
                    command,
                    cwd=self.root,
                    env={**os.environ, **(environ or {}), "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise StepFailed(f"step {self._done}, {title}: cannot run {command[0]}: {error}") from None
            said: deque[str] = deque(maxlen=TAIL_LINES)
            assert child.stdout is not None
            reader = threading.Thread(target=_copy, args=(child.stdout, kept, said, began), daemon=True)
            reader.start()
            code = self._wait(child, head, said, began, limit_s)
            reader.join(timeout=END_GRACE_S)
            child.stdout.close()
        if code != 0:
            why = f"not done after {limit_s:.0f} s" if code is None else f"exit code {code}"
            tail = "\n".join(f"    {line}" for line in said)
            raise StepFailed(f"step {self._done}, {title}: {why} of: {' '.join(command)}\n{tail}\n  whole log: {log}")
        self.end(title, time.monotonic() - began)

    def begin(self, title: str) -> str:
        self._done += 1
        head = f"[{self._done}/{self.count}] {title}"
        if self.screen.is_terminal:
            self.screen.passing(f"{head} ...")
        return head

    def end(self, title: str, took_s: float, note: str = "") -> None:
        head = f"[{self._done}/{self.count}] {title}"
        self.screen.line(f"{head:<52} {elapsed(took_s):>8}{f'  {note}' if note else ''}")

    def total_s(self) -> float:
        return time.monotonic() - self._started

    def _wait(
        self, child: subprocess.Popen[str], head: str, said: deque[str], began: float, limit_s: float
    ) -> int | None:
        """Its exit code; None if it was ended because it took too long."""
        pause = REFRESH_EVERY_S if self.screen.is_terminal else REPORT_EVERY_S
        try:
            while (passed := time.monotonic() - began) < limit_s:
                try:
                    return child.wait(timeout=min(pause, limit_s - passed))
                except subprocess.TimeoutExpired:
                    last = said[-1][:MAX_LINE_CHARS] if said else ""
                    self.screen.passing(f"{head}  {elapsed(time.monotonic() - began)}  {last}")
            _end(child)
            return None
        except BaseException:
            _end(child)
            raise


def elapsed(seconds: float) -> str:
    """`850 ms`, `7.3 s`, `12m05s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def screen() -> Screen:
    return Screen(sys.stdout, sys.stdout.isatty())


def _copy(source: IO[str], kept: IO[str], said: deque[str], began: float) -> None:
    """Each line of the log starts with the seconds since the step began: that is where time went."""
    for line in source:
        kept.write(f"{time.monotonic() - began:7.1f}  {line}")
        kept.flush()
        if line.strip():
            said.append(line.rstrip())


def _end(child: subprocess.Popen[str]) -> None:
    """Its whole session: commands start others."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=END_GRACE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
