"""`python -m bench.placement`: one cycle of the core over held offers and waiting pods, against a naive best fit.

Both place the same pods on the same agents, in turns within one run; every placement is checked by `bench.workload`.
The numbers to look at are ratios: seconds belong to the machine and its load at that moment.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bench import naive
from bench.workload import EXECUTOR, EXECUTOR_ID, Workload, faults, make
from kmsched import __version__
from kmsched.core.effects import AcceptOffers
from kmsched.core.events import NodesListed, OffersArrived, PodsListed, Subscribed, TaskState, TaskUpdated, Ticked
from kmsched.core.model import Settings
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.state import State
from kmsched.core.step import step

RESULT = Path(__file__).resolve().parent / "results" / "placement.json"
AGENTS, PODS, REPEATS, SEED = 1000, 2000, 3, 1
#: fits nowhere: what a cycle costs when all it does is to find out why
GIANT = Resources(cpus=1_000_000, mem=1000, pods=1)
NOW = 100.0

T = TypeVar("T")


def ready_state(workload: Workload) -> State:
    """A subscribed core that holds all offers and knows all pods; its next tick runs the cycle."""
    state = State(Settings(executor_id=EXECUTOR_ID, executor_resources=EXECUTOR, offer_ttl_s=1e9), term=1)
    for event in (
        PodsListed(workload.pods),
        NodesListed(tuple(workload.nodes.values())),
        Subscribed("F"),
    ):
        step(state, event, NOW)
    sentinel = state.reconciliation.sentinel
    step(state, TaskUpdated(sentinel, TaskState.UNKNOWN, source="SOURCE_MASTER"), NOW)
    step(state, OffersArrived(workload.offers), NOW)
    return state


def core_cycle(workload: Workload) -> tuple[float, dict[str, str]]:
    """Seconds of the cycle alone, and pod uid -> agent id."""
    state = ready_state(workload)
    effects, seconds = _timed(lambda: step(state, Ticked(), NOW))
    accepts = [effect for effect in effects if isinstance(effect, AcceptOffers)]
    return seconds, {launch.pod_uid: accept.agent_id for accept in accepts for launch in accept.launches}


def naive_scan(workload: Workload) -> tuple[float, dict[str, str]]:
    placed, seconds = _timed(lambda: naive.place(workload))
    return seconds, placed


def compare(workload: Workload, repeats: int) -> dict[str, Any]:
    """Runs both in turns. Raises SystemExit if a placement is wrong or a repeat places otherwise."""
    seconds: dict[str, list[float]] = {"core": [], "naive": []}
    placed: dict[str, dict[str, str]] = {}
    for _ in range(repeats):
        for name, run in (("core", core_cycle), ("naive", naive_scan)):
            took, result = run(workload)
            if wrong := faults(workload, result):
                raise SystemExit(f"{name}: {len(wrong)} faults, the first: {wrong[0]}")
            if placed.setdefault(name, result) != result:
                raise SystemExit(f"{name}: the same input was placed in two ways")
            seconds[name].append(took)
    middle = {name: statistics.median(all_s) for name, all_s in seconds.items()}
    return {
        "agents": len(workload.offers),
        "pods": len(workload.pods),
        "placed": {name: len(result) for name, result in placed.items()},
        "agents_used": {name: len(set(result.values())) for name, result in placed.items()},
        "seconds": {name: [round(each, 4) for each in all_s] for name, all_s in seconds.items()},
        "naive_over_core": round(middle["naive"] / middle["core"], 2),
        "core_pods_per_second": round(len(workload.pods) / middle["core"]),
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    gc.collect()
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def versions() -> dict[str, str]:
    return {
        "kmsched": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "msgspec": importlib.metadata.version("msgspec"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.placement", description=__doc__)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    mixed = make(given.agents, given.pods, given.seed)
    giants = replace(mixed, pods=tuple(replace(pod, requests=GIANT, counts=whole_counts(GIANT)) for pod in mixed.pods))
    result = {
        "versions": versions(),
        "seed": given.seed,
        "repeats": given.repeats,
        "mixed": compare(mixed, given.repeats),
        "none_fits": compare(giants, given.repeats),
    }
    text = json.dumps(result, indent=2) + "\n"
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
