"""Cycles of the core over held offers and waiting pods, against a naive best fit.

Both place the same pods on the same agents, in turns within one process, and every placement is checked by
`bench.workload`.  Both only compute, so what is measured is the processor's time.  The naive one would take hours for
all: it places some pods of the beginning, the middle and the end, on agents as the core has left them by then.
"""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from bench.naive import Naive
from bench.report import REPEATS, keep, spread
from bench.workload import EXECUTOR, EXECUTOR_ID, Workload, faults, make
from kmsched.core.effects import AcceptOffers, Effect
from kmsched.core.events import (
    CycleInterrupted,
    NodesListed,
    OffersArrived,
    PodsListed,
    Subscribed,
    TaskState,
    TaskUpdated,
    Ticked,
)
from kmsched.core.model import Pod, Settings
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.state import State
from kmsched.core.step import step
from kmsched.daemon.main import COLLECTED_AFTER

#: agents -> pods that the naive one places at each of its three times
SIZES = {1000: 500, 10_000: 50, 50_000: 10}
PODS, SEED = 50_000, 1
TIMES = (0.0, 0.45, 0.9)
#: fits nowhere: what a cycle costs when all it does is to find out why
GIANT = Resources(cpus=1_000_000, mem=1000, pods=1)
GIANTS = 2000
NOW = 100.0

T = TypeVar("T")


def ready_state(workload: Workload) -> State:
    """A subscribed core that holds all offers and knows all pods; its next tick begins the cycle."""
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


def whole_cycle(state: State) -> tuple[list[Effect], list[float]]:
    """All of its slices, and what each took."""
    effects: list[Effect] = []
    slices: list[float] = []
    event: Ticked | CycleInterrupted = Ticked()
    while not slices or state.cycle is not None:
        began = time.process_time()
        effects += step(state, event, NOW)
        slices.append(time.process_time() - began)
        event = CycleInterrupted()
    return effects, slices


def placed_by(effects: list[Effect]) -> dict[str, str]:
    """Pod uid -> agent id."""
    accepts = [effect for effect in effects if isinstance(effect, AcceptOffers)]
    return {launch.pod_uid: accept.agent_id for accept in accepts for launch in accept.launches}


def in_order(workload: Workload) -> list[Pod]:
    return sorted(workload.pods, key=lambda pod: pod.created_s)


def naive_at(workload: Workload, placed: Mapping[str, str], share: float, count: int) -> float:
    """Seconds for `count` pods, when this share of all has been placed as `placed` says."""
    pods = in_order(workload)
    first = int(len(pods) * share)
    naive = Naive(workload)
    naive.assume(pods[:first], placed)
    found, seconds = _timed(lambda: naive.place(pods[first : first + count]))
    before = {pod.uid: placed[pod.uid] for pod in pods[:first] if pod.uid in placed}
    _check("naive", workload, before | found)
    return seconds


@dataclass(frozen=True, slots=True)
class Case:
    """`naive_pods`: that the naive one places at each of its times."""

    agents: int
    naive_pods: int
    pods: int = PODS
    giants: bool = False  # all pods are such
    seed: int = SEED

    def workload(self) -> Workload:
        made = make(self.agents, self.pods, self.seed)
        if not self.giants:
            return made
        return replace(made, pods=tuple(replace(pod, requests=GIANT, counts=whole_counts(GIANT)) for pod in made.pods))


def once(case: Case) -> dict[str, Any]:
    """One repeat of both. Raises SystemExit if a placement is wrong."""
    gc.set_threshold(*COLLECTED_AFTER)
    workload = case.workload()
    state = ready_state(workload)
    gc.collect()
    effects, slices = whole_cycle(state)
    placed = placed_by(effects)
    del state, effects
    _check("core", workload, placed)
    naive_s = sum(naive_at(workload, placed, share, case.naive_pods) for share in TIMES)
    return {
        "core": sum(slices) / case.pods,
        "naive": naive_s / (len(TIMES) * case.naive_pods),
        "longest": max(slices),
        "placed": len(placed),
        "agents_used": len(set(placed.values())),
        "digest": hashlib.sha256(repr(sorted(placed.items())).encode()).hexdigest(),
    }


def in_child(case: Case) -> dict[str, Any]:
    """A repeat in a process of its own: memory that an earlier one has used is scattered, and slower."""
    command = [sys.executable, "-m", "bench.placement", json.dumps(asdict(case))]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def compare(case: Case, repeats: int = REPEATS) -> dict[str, Any]:
    """Raises SystemExit if a repeat places otherwise."""
    runs = [in_child(case) for _ in range(repeats)]
    if len({run["digest"] for run in runs}) > 1:
        raise SystemExit("core: the same input was placed in two ways")
    return {
        **asdict(case),
        "placed": runs[0]["placed"],
        "agents_used": runs[0]["agents_used"],
        "naive_placed": f"{case.naive_pods} when {', '.join(f'{share:.0%}' for share in TIMES)} of all had been placed",
        "cpu_us_per_pod": {name: spread([1e6 * run[name] for run in runs]) for name in ("core", "naive")},
        "naive_over_core": spread([run["naive"] / run["core"] for run in runs]),
        "longest_slice_cpu_s": spread([run["longest"] for run in runs]),
    }


def _check(name: str, workload: Workload, placed: Mapping[str, str]) -> None:
    if wrong := faults(workload, placed):
        raise SystemExit(f"{name}: {len(wrong)} faults, the first: {wrong[0]}")


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def main(repeats: int = REPEATS) -> None:
    for agents, naive_pods in SIZES.items():
        keep("placement", f"{agents} agents", compare(Case(agents, naive_pods), repeats))
    keep("placement", "none fits", compare(Case(min(SIZES), GIANTS // 10, GIANTS, giants=True), repeats))


if __name__ == "__main__":
    json.dump(once(Case(**json.loads(sys.argv[1]))), sys.stdout)
