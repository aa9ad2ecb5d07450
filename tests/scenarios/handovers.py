"""One trial: a scheduler without standbys is asked to hand over while pods are created; everything is counted.

Its replacement is the program that is on the disk, or one of `BROKEN` in its place. A trial never raises for what went
wrong with the product: it says so in `wrong`.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.scenarios import workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.outcome import Outcome
from tests.scenarios.trials import faults
from tests.scenarios.waiting import TooLateError, until
from tests.scenarios.watching import watched

PODS = 5
#: the signal falls between the creation of the Deployment and about when its last pods run
WINDOW_S = 2.0
POLL_S = 0.05
PROGRAM = "/usr/local/bin/km"
HOST_FLAGS = "/etc/kmsched/host.flags"
#: so that a replacement that hangs is given up soon
SHORT_S = 8
TOLD = re.compile(
    r"process (\d+) leads in term (\d+): warm after ([\d.]+) s, let to lead after ([\d.]+) s,"
    r" subscribed after ([\d.]+) s"
)
NOT_TOLD = re.compile(r"SIGUSR1: not handed over: (.*)")

#: programs that cannot replace a scheduler; what is said of each
HANGS = "import time\ntime.sleep(3600)\n"
CRASHES = "raise SystemExit(3)\n"
#: ready, and gone at the moment when nobody else leads
QUITS = """
import json, os, re, socket, urllib.request
channel, listening, lock = map(int, re.findall("[0-9]+", os.environ["KM_REPLACES"]))
connection = socket.socket(fileno=channel)
ready = json.load(urllib.request.urlopen("http://127.0.0.1:10251/api/v1/status"))
word = {"said": "ready", "schema": 1, "fingerprint": ready["fingerprint"]}
connection.sendall(json.dumps(word).encode() + bytes([10]))
connection.recv(1000)
"""
BROKEN = {
    "missing": ("", "ended with exit code 2"),
    "crashes": (CRASHES, "ended with exit code 3"),
    "hangs": (HANGS, f"it was not ready within {SHORT_S} s"),
    "quits": (QUITS, "the connection was closed; it ended with exit code 0"),
}


@dataclass(slots=True)
class Trial(Outcome):
    """Times in seconds, by the scheduler's log; `seconds` is from the signal until a main process is ready.

    `leaderless_s`: from the moment at which nothing more is sent until Mesos has subscribed the next.
    """

    kind: str
    pods: int
    moment_s: float
    seconds: float = 0.0
    warm_s: float = 0.0
    leaderless_s: float = 0.0
    terms: list[int] = field(default_factory=list)
    said: str = ""


def single(cluster: Cluster, seed: int, pods: int = PODS) -> Trial:
    """The program that is there replaces itself."""
    return _trial(cluster, Trial(seed, "same program", pods, _moment(seed)), _replaced)


def broken(cluster: Cluster, seed: int, pods: int = PODS) -> Trial:
    """Something else is where the program was; which, the seed decides."""
    kind = list(BROKEN)[seed % len(BROKEN)]
    program, words = BROKEN[kind]

    def told(cluster: Cluster, trial: Trial, pid: int) -> None:
        with _another_program(cluster, program):
            _led_on(cluster, trial, pid, words)

    with _short(cluster):
        return _trial(cluster, Trial(seed, kind, pods, _moment(seed)), told)


def _moment(seed: int) -> float:
    return round(Random(seed).uniform(0, WINDOW_S), 3)


def _trial(cluster: Cluster, trial: Trial, told: Callable[[Cluster, Trial, int], None]) -> Trial:
    cluster.wait_ready()
    host = cluster.scheduler_host
    restarts, before = cluster.hosts.restarts(host, SCHEDULER_UNIT), _status(cluster)
    pid = cluster.hosts.main_pid(host, SCHEDULER_UNIT)
    name = f"handover-{trial.seed}-{pid}"
    with cluster.namespace(name) as namespace, watched(cluster.api, namespace) as watch:
        try:
            started = time.monotonic()
            cluster.api.create(workloads.deployment("many", trial.pods), namespace)
            # the signal's own moment, not a wait for something
            time.sleep(max(0.0, started + trial.moment_s - time.monotonic()))
            told(cluster, trial, pid)
            cluster.wait_running(namespace, trial.pods)
            cluster.wait_settled(namespace)
        except TooLateError as error:
            trial.wrong.append(str(error))
        after = _status(cluster)
        trial.terms = [before["term"], after["term"]]
        trial.wrong += faults(cluster, namespace, watch, trial.pods)
        if after["framework_id"] != before["framework_id"]:
            trial.wrong.append("the framework id is another")
        if cluster.hosts.restarts(host, SCHEDULER_UNIT) != restarts:
            trial.wrong.append("systemd has started the unit again")
        processes = cluster.hosts.run(host, "pgrep", "-f", f"{PROGRAM} scheduler").text.split()
        if processes != [str(cluster.hosts.main_pid(host, SCHEDULER_UNIT))]:
            trial.wrong.append(f"systemd watches one process, and there are {processes}")
    return trial


def _status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.page("/api/v1/status").json()
    return found


def _signal(cluster: Cluster, pid: int) -> float:
    cluster.hosts.must(cluster.scheduler_host, "kill", "-USR1", str(pid))
    return time.monotonic()


def _replaced(cluster: Cluster, trial: Trial, pid: int) -> None:
    host = cluster.scheduler_host
    asked = _signal(cluster, pid)
    until(lambda: cluster.hosts.main_pid(host, SCHEDULER_UNIT) not in (0, pid), 90, "another process leads", POLL_S)
    cluster.wait_ready()
    trial.seconds = round(time.monotonic() - asked, 3)
    found = _last(cluster, TOLD)
    trial.said = found[0]
    trial.warm_s = float(found[3])
    trial.leaderless_s = round(float(found[4]) + float(found[5]), 3)
    if cluster.hosts.main_pid(host, SCHEDULER_UNIT) != int(found[1]):
        trial.wrong.append(f"the log names process {found[1]}, and systemd watches another")


def _led_on(cluster: Cluster, trial: Trial, pid: int, words: str) -> None:
    host = cluster.scheduler_host
    earlier = len(NOT_TOLD.findall(cluster.hosts.journal(host, SCHEDULER_UNIT)))
    asked = _signal(cluster, pid)
    until(
        lambda: len(NOT_TOLD.findall(cluster.hosts.journal(host, SCHEDULER_UNIT))) > earlier,
        60,
        "the log says why nothing is handed over",
        POLL_S,
    )
    cluster.wait_ready()
    trial.seconds = round(time.monotonic() - asked, 3)
    trial.said = _last(cluster, NOT_TOLD)[1]
    if words not in trial.said:
        trial.wrong.append(f"the log does not say {words!r}")
    if cluster.hosts.main_pid(host, SCHEDULER_UNIT) != pid:
        trial.wrong.append("another process leads")


def _last(cluster: Cluster, pattern: re.Pattern[str]) -> re.Match[str]:
    def found() -> re.Match[str]:
        matches = list(pattern.finditer(cluster.hosts.journal(cluster.scheduler_host, SCHEDULER_UNIT)))
        if not matches:
            raise ValueError("the log has no such line yet")
        return matches[-1]

    return until(found, 10, f"the log has {pattern.pattern}", POLL_S)


@contextlib.contextmanager
def _another_program(cluster: Cluster, program: str) -> Iterator[None]:
    """In place of the link to the km file; "": nothing is there."""
    host, aside = cluster.scheduler_host, f"{PROGRAM}.aside"
    cluster.hosts.must(host, "mv", PROGRAM, aside)
    try:
        if program:
            cluster.hosts.write(host, PROGRAM, program, "0755")
        yield
    finally:
        cluster.hosts.must(host, "mv", "-f", aside, PROGRAM)


@contextlib.contextmanager
def _short(cluster: Cluster) -> Iterator[None]:
    """The scheduler gives its replacements up after SHORT_S."""
    host = cluster.scheduler_host
    kept = cluster.hosts.must(host, "cat", HOST_FLAGS)
    cluster.hosts.write(host, HOST_FLAGS, f"{kept}--handover-timeout={SHORT_S}s\n")
    cluster.systemctl("restart")
    try:
        cluster.wait_ready()
        yield
    finally:
        cluster.hosts.write(host, HOST_FLAGS, kept)
        cluster.systemctl("restart")
        cluster.wait_ready()
