"""How late a timer of the scheduler's process is while 50,000 pods are placed: a lease must be renewed meanwhile.

The whole scheduler runs, pods come by its watch, offers and ACCEPTs are bytes.  Beside it an idle process has the same
timer: what that one is late is the machine's, not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import time
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from bench.cluster import Cluster, scheduling
from bench.report import REPEATS, keep, quantile, spread
from kmsched.daemon.main import COLLECTED_AFTER

PERIOD_S = 0.05
#: agents -> pods
SIZES = {1000: 5000, 10_000: 50_000}
#: pods that the API server tells of at once
BURST = 500


async def late(lateness: list[float]) -> None:
    """Until cancelled: notes by how much each sleep was too long."""
    while True:
        due = time.monotonic() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        lateness.append(max(0.0, time.monotonic() - due))


async def measure(agents: int, pods: int) -> tuple[list[float], float]:
    """Lateness while all are placed, and how long that took."""
    accepted: set[str] = set()
    done = asyncio.Event()

    def note(uids: list[str]) -> None:
        accepted.update(uids)
        if len(accepted) == pods:
            done.set()

    cluster = Cluster(agents, note)
    lateness: list[float] = []
    async with scheduling(cluster, "--launch-timeout=10m", "--executor-launch-grace-period=11m"):
        timing = asyncio.create_task(late(lateness))
        began = time.monotonic()
        for first in range(0, pods, BURST):
            cluster.create(range(first, min(first + BURST, pods)))
            await asyncio.sleep(0)
        await done.wait()
        took_s = time.monotonic() - began
        timing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await timing
    return lateness, took_s


def idle(is_over: Event, results: SimpleQueue[list[float]]) -> None:
    lateness: list[float] = []

    async def wait() -> None:
        timing = asyncio.create_task(late(lateness))
        await asyncio.to_thread(is_over.wait)
        timing.cancel()

    asyncio.run(wait())
    results.put(lateness)


def beside_an_idle_one(agents: int, pods: int) -> tuple[dict[str, list[float]], float]:
    """Lateness of both, and how long the placing took."""
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    results: SimpleQueue[list[float]] = context.SimpleQueue()
    other = context.Process(target=idle, args=(is_over, results))
    other.start()
    try:
        lateness, took_s = asyncio.run(measure(agents, pods))
    finally:
        is_over.set()
    idle_lateness = results.get()
    other.join()
    return {"scheduler": lateness, "idle process beside it": idle_lateness}, took_s


def main(repeats: int = REPEATS) -> None:
    gc.set_threshold(*COLLECTED_AFTER)
    for agents, pods in SIZES.items():
        runs = [beside_an_idle_one(agents, pods) for _ in range(repeats)]
        result: dict[str, Any] = {
            "pods": pods,
            "period_s": PERIOD_S,
            "placed_and_accepted_in_s": spread([took_s for _, took_s in runs]),
        }
        for name in runs[0][0]:
            result[name] = {
                "latest_s": spread([max(lateness[name]) for lateness, _ in runs]),
                "p99_s": spread([quantile(lateness[name], 0.99) for lateness, _ in runs]),
            }
        keep("timer", f"{agents} agents", result)
