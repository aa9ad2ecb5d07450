"""The demo's schedulers, asked over the lab's network: who leads, and whether all of them could.

Knows two of their pages and how to end one of them suddenly. What is shown of it is the report's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from demo.steps import StepFailed
from testbed import hosts, network, probe
from testbed.settings import Settings

NAMES = ("s1", "s2", "s3")
UNIT = "km-scheduler"
PORT = 10251
ANSWER_S = 2.0
LOOK_EVERY_S = 0.02
READY_LIMIT_S = 60.0
SUCCESSOR_LIMIT_S = 30.0
ASK_EVERY_S = 1.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Succession:
    """`took_s`: from SIGKILL until the successor said that it leads, and knows the state of all tasks."""

    killed: str
    successor: str
    terms: tuple[int, int]
    took_s: float


def ask(settings: Settings, host: str, path: str = "/leader") -> Json:
    """What the scheduler on `host` answers, "status" put in; only that, as 0, if nobody does."""
    url = f"http://{settings.address(host)}:{PORT}{path}"

    def asked() -> Json:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                return {**json.load(answer), "status": answer.status}
        except urllib.error.HTTPError as error:
            with error:
                return {**json.load(error), "status": error.code}
        except (OSError, ValueError):
            return {"status": 0}

    return network.inside(settings, asked)


def leader(settings: Settings) -> str:
    """Host of the one that leads. Raises StepFailed."""
    for host in NAMES:
        if ask(settings, host)["status"] == 200:
            return host
    raise StepFailed("no scheduler leads; their logs: python3 -m testbed run s1 journalctl --unit km-scheduler")


def not_ready(settings: Settings) -> str:
    """Why not all of them are ready, in their own words; "" if they are and one leads."""
    answers = {host: ask(settings, host) for host in NAMES}
    found = [f"{host}: {_why(answer)}" for host, answer in answers.items() if not answer.get("ready")]
    if not found and not any(answer["status"] == 200 for answer in answers.values()):
        found = ["none of them leads"]
    return "; ".join(found)


def _why(answer: Json) -> str:
    return ", ".join(answer.get("reasons", ())) or ("it gives no reason" if answer["status"] else "it does not answer")


def wait_ready(settings: Settings, limit_s: float = READY_LIMIT_S) -> None:
    """Raises StepFailed with the schedulers' reasons."""
    deadline = time.monotonic() + limit_s
    while reason := not_ready(settings):
        if time.monotonic() > deadline:
            raise StepFailed(
                f"the schedulers are not ready after {limit_s:.0f} s: {reason}\n"
                "  their logs: python3 -m testbed run s1 journalctl --unit km-scheduler"
            )
        time.sleep(ASK_EVERY_S)


def kill_leader(settings: Settings) -> Succession:
    """SIGKILL for the process that leads; returns when another leads. Raises StepFailed."""
    machine, old = probe.machine(), leader(settings)
    term = int(ask(settings, old)["term"])
    show = hosts.enter(settings, machine, old, ["systemctl", "show", "--value", "--property=MainPID", UNIT])
    shown = subprocess.run(show, check=True, capture_output=True, text=True, timeout=ANSWER_S * 5).stdout
    pid = hosts.pid_outside(settings, machine, old, int(shown))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while time.monotonic() - began < SUCCESSOR_LIMIT_S:
        for host in NAMES:
            if host != old and (answer := ask(settings, host))["status"] == 200:
                return Succession(old, host, (term, int(answer["term"])), time.monotonic() - began)
        time.sleep(LOOK_EVERY_S)
    raise StepFailed(f"{old} was killed, and after {SUCCESSOR_LIMIT_S:.0f} s no other scheduler leads")
