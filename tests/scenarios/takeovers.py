"""One trial: the leading scheduler ends in one of several ways while pods run and are created, and another follows.

Used by the scenario and, in larger numbers, by the soak. Times are taken from the Mesos master's log, what happened to
pods from containerd and the API. A trial never raises for what went wrong with the product: it says so in `wrong`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.scenarios.group import Calls, Group
from tests.scenarios.load import Load
from tests.scenarios.waiting import TooLateError, until

#: the fault falls somewhere between two pods of the stream
WINDOW_S = 1.0
SUCCESSOR_S = 30.0
#: so long a process stays frozen after another leads
FROZEN_S = 2.0
BACK_S = 60.0
TTL_S = 5
EXIT_DEPOSED = 11


@dataclass(slots=True)
class Trial:
    """Times in seconds after the fault. `led_s`: until the successor's own page said that it leads."""

    seed: int
    fault: str
    old: str = ""
    new: str = ""
    led_s: float = 0.0
    subscribed_s: float | None = None
    called_s: float | None = None
    accepted_s: float | None = None
    back_s: float = 0.0
    pods: int = 0
    wrong: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": "failed" if self.wrong else "passed"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` gets host and pid outside; `undo` brings the host back, once another leads."""

    strike: Callable[[Group, str, int], None]
    undo: Callable[[Group, str, int], list[str]] = lambda group, host, pid: []


def _send(number: signal.Signals) -> Callable[[Group, str, int], None]:
    return lambda group, host, pid: os.kill(pid, number)


def _thaw(group: Group, host: str, pid: int) -> list[str]:
    """It finds that its lease is gone, and ends with the code that says so."""
    time.sleep(FROZEN_S)
    os.kill(pid, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{pid}").exists(), BACK_S, "the process that was frozen ends", 0.05)
    code = until(lambda: group.exit_code(host), BACK_S, "systemd tells its exit code")
    return [] if code == EXIT_DEPOSED else [f"the process that was frozen ended with {code}, not {EXIT_DEPOSED}"]


def _heal(group: Group, host: str, pid: int) -> list[str]:
    group.heal()
    return []


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(_send(signal.SIGKILL)),
    "handover": Fault(_send(signal.SIGUSR1)),
    "stop": Fault(_send(signal.SIGSTOP), _thaw),
    "power": Fault(lambda group, host, pid: group.cut_power(host), _heal),
}


def trial(group: Group, load: Load, fault: str, seed: int) -> Trial:
    done = Trial(seed, fault)
    try:
        _take_over(group, load, FAULTS[fault], done, Random(seed).uniform(0, WINDOW_S))
        done.wrong += load.faults()
    except TooLateError as error:
        done.wrong.append(str(error))
    done.pods = len(load.watch.lives)
    return done


def _take_over(group: Group, load: Load, fault: Fault, done: Trial, pause_s: float) -> None:
    old = done.old = group.wait_whole()
    ids, before = group.framework_ids(), group.told(old)
    pid = group.pid(old)
    # the fault's own moment, not a wait for something
    time.sleep(pause_s)
    struck, began = time.time(), time.monotonic()
    fault.strike(group, old, pid)
    done.new = group.wait_successor(old, SUCCESSOR_S)
    done.led_s = round(time.monotonic() - began, 3)
    done.wrong += fault.undo(group, old, pid)
    leader = group.wait_whole()
    done.back_s = round(time.monotonic() - began, 3)
    until(lambda: group.calls(struck).accepted_s is not None, SUCCESSOR_S, "the successor has launched a pod")
    _note(done, group.calls(struck))
    if leader != done.new:
        done.wrong.append(f"{done.new} followed, and then {leader}")
    told = group.told(leader)
    if told["framework_id"] != before["framework_id"] or group.framework_ids() != ids:
        done.wrong.append(f"framework {before['framework_id']} became {told['framework_id']}: {group.framework_ids()}")
    if told["term"] <= before["term"]:
        done.wrong.append(f"term {before['term']} was followed by {told['term']}")


def _note(done: Trial, calls: Calls) -> None:
    for name in ("subscribed_s", "called_s", "accepted_s"):
        value = getattr(calls, name)
        setattr(done, name, None if value is None else round(value, 3))
