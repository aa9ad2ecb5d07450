"""Memory of a scheduler's state: 10,000 agents' offers and Nodes, 100,000 pods, all from the bytes that tell of them.

A child process reads them as the scheduler does, one by one, and says how much its resident memory has grown.  Nine of
ten pods run under a task, the others wait.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench import messages
from bench.report import REPEATS, keep, spread
from kmsched.core.events import (
    NodesListed,
    OffersArrived,
    PodChanged,
    PodsListed,
    Subscribed,
    TaskState,
    TaskUpdated,
)
from kmsched.core.model import Settings
from kmsched.core.resources import Resources
from kmsched.core.state import State
from kmsched.core.step import step
from kmsched.wire.kube import decode_node, decode_pod
from kmsched.wire.mesos import Offers, scheduler_event
from kmsched.wire.offers import decode_offer

AGENTS, PODS = 10_000, 100_000
WAITING = 10  # every so many a pod
TOGETHER = 1000  # offers in one event
NOW = 100.0
EXECUTOR = "km-bench"


def grown_bytes(agents: int, pods: int) -> dict[str, int]:
    """What each part has added to this process."""
    state = State(Settings(executor_id=EXECUTOR, executor_resources=Resources(100, 256_000)), term=1)
    before = resident_bytes()
    found = {"imports": before}

    def note(what: str) -> None:
        nonlocal before
        gc.collect()
        now = resident_bytes()
        found[what] = now - before
        before = now

    nodes = tuple(decode_node(json.dumps(messages.node(f"agent-{n}")).encode()) for n in range(agents))
    step(state, NodesListed(nodes), NOW)
    step(state, PodsListed(()), NOW)
    del nodes
    note("nodes")
    for number in range(pods):
        is_waiting = number % WAITING == 0
        host = f"agent-{number % agents}"
        task_id = "" if is_waiting else f"{messages.uid(number)}.1.{number}"
        told = messages.pod(number, node="" if is_waiting else host, task_id=task_id)
        step(state, PodChanged(decode_pod(msgspec.json.encode(told))), NOW)
    step(state, Subscribed("F"), NOW)
    for number in range(pods):
        if number % WAITING:
            step(state, running(number, agents), NOW)
    note("pods")
    for first in range(0, agents, TOGETHER):
        numbers = range(first, min(first + TOGETHER, agents))
        offered = [messages.offer(f"F-O{n}", f"agent-{n}", messages.AGENT, EXECUTOR) for n in numbers]
        event = scheduler_event(msgspec.json.encode({"type": "OFFERS", "offers": {"offers": offered}}))
        assert isinstance(event, Offers)
        step(state, OffersArrived(tuple(map(decode_offer, event.offers))), NOW)
    del offered, event
    note("offers")
    found["all"] = resident_bytes()
    assert len(state.pods) == pods
    assert len(state.offers.agent_of) == agents
    return found


def running(number: int, agents: int) -> TaskUpdated:
    return TaskUpdated(
        f"{messages.uid(number)}.1.{number}",
        TaskState.RUNNING,
        source="SOURCE_MASTER",
        reason="REASON_RECONCILIATION",
        agent_id=f"agent-{number % agents}-S1",
        executor_id=EXECUTOR,
    )


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def in_child() -> dict[str, int]:
    ended = subprocess.run([sys.executable, "-m", "bench.memory"], check=True, stdout=subprocess.PIPE)
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def main(repeats: int = REPEATS) -> None:
    runs = [in_child() for _ in range(repeats)]
    result: dict[str, Any] = {"agents": AGENTS, "pods": PODS}
    for part in runs[0]:
        result[f"{part}_mib"] = spread([run[part] / 2**20 for run in runs])
    keep("memory", "all", result)


if __name__ == "__main__":
    json.dump(grown_bytes(AGENTS, PODS), sys.stdout)
