"""From a pod's creation until its ACCEPT leaves the scheduler, with upstreams that answer at once.

Pods come one by one at random times.  Once while offers are held, once when there were none to hold, so that the first
thing to do is to ask for them.  Mesos' own delay, until it offers, is nothing here.
"""

from __future__ import annotations

import asyncio
import gc
import time
from random import Random
from typing import Any

from bench import messages
from bench.cluster import Cluster, scheduling
from bench.report import REPEATS, keep, quantile, spread
from kmsched.daemon.main import COLLECTED_AFTER

#: agents, pods of one repeat, seconds between two pods at most, further flags of the scheduler
CASES: dict[str, tuple[int, int, float, tuple[str, ...]]] = {
    "100 agents, offers held": (100, 100, 0.2, ()),
    "1000 agents, offers held": (1000, 100, 0.2, ()),
    "100 agents, none held": (100, 10, 1.0, ("--offer-ttl=0.2s",)),
}
#: idle for so long, so that offers are declined and suppressed where they are not to be held
LEAST_GAP_S = {True: 0.0, False: 1.0}


async def measure(agents: int, pods: int, longest_gap_s: float, more: tuple[str, ...], rng: Random) -> list[float]:
    """Seconds of each pod."""
    created: dict[str, float] = {}
    took: list[float] = []
    arrived = asyncio.Event()

    def accepted(uids: list[str]) -> None:
        took.extend(time.monotonic() - created[uid] for uid in uids)
        arrived.set()

    cluster = Cluster(agents, accepted)
    async with scheduling(cluster, *more):
        for number in range(pods):
            await asyncio.sleep(LEAST_GAP_S[not more] + rng.uniform(0.0, longest_gap_s))
            created[messages.uid(number)] = time.monotonic()
            cluster.create([number])
        while len(took) < pods:
            arrived.clear()
            await arrived.wait()
    return took


def main(repeats: int = REPEATS) -> None:
    gc.set_threshold(*COLLECTED_AFTER)
    found: dict[str, list[list[float]]] = {name: [] for name in CASES}
    rng = Random(1)
    for _ in range(repeats):
        for name, (agents, pods, gap_s, more) in CASES.items():
            found[name].append(asyncio.run(measure(agents, pods, gap_s, more, rng)))
    for name, runs in found.items():
        together = [each for run in runs for each in run]
        result: dict[str, Any] = {
            "pods": len(together),
            "p50_s": quantile(together, 0.5),
            "p99_s": quantile(together, 0.99),
            "longest_s": quantile(together, 1.0),
            "p99_s_of_each_repeat": spread([quantile(run, 0.99) for run in runs]),
        }
        keep("latency", name, result)
