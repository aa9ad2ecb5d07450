"""Long commands of a build: their output goes to a log, a line of progress appears now and then.

Knows nothing of what the commands do. A command ends when this process does.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import processes
from testbed.errors import LabError

PROGRESS_S = 20.0


def run(
    command: Sequence[str], log: Path, label: str, doing: str, limit_s: float, environ: Mapping[str, str], folder: Path
) -> float:
    """Runs `command` in `folder` and says every PROGRESS_S seconds that it still is `doing`; how long it took.

    Raises:
        LabError: it fails, with the end of its log, or is not done after `limit_s` seconds.
    """
    begun = time.monotonic()
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [*processes.TIED, *command], cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        try:
            code = _wait(child, label, doing, begun, limit_s, log)
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code != 0:
        said = processes.tail(log.read_text(errors="replace"))
        raise LabError(f"{label}: {command[0]} failed with {code} ({log})\n{said}")
    return time.monotonic() - begun


def _wait(child: subprocess.Popen[bytes], label: str, doing: str, begun: float, limit_s: float, log: Path) -> int:
    while True:
        try:
            return child.wait(PROGRESS_S)
        except subprocess.TimeoutExpired:
            spent = time.monotonic() - begun
            print(f"{label}: {doing}, {clock(spent)}", flush=True)
            if spent > limit_s:
                raise LabError(f"{label}: not done after {limit_s:.0f} s, see {log}") from None


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
