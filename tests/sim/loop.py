"""Virtual time, ordered channels and the trace: one seed decides all that is random."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random

TRACE = 120

Job = Callable[[], object]


class Violation(AssertionError):
    """An invariant does not hold."""


class Loop:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.trace: deque[str] = deque(maxlen=TRACE)
        self._jobs: list[tuple[float, int, Job]] = []
        self._count = 0

    def at(self, after_s: float, job: Job) -> None:
        self._count += 1
        heapq.heappush(self._jobs, (self.now + after_s, self._count, job))

    def every(self, pause_s: float, job: Job) -> None:
        def again() -> None:
            job()
            self.at(pause_s, again)

        self.at(self.rng.uniform(0.0, pause_s), again)

    def run_until(self, end: float) -> None:
        while self._jobs and self._jobs[0][0] <= end:
            self.now, _, job = heapq.heappop(self._jobs)
            job()
        self.now = end

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def between(self, least_s: float, most_s: float) -> float:
        return self.rng.uniform(least_s, most_s)

    def tell(self, words: str) -> None:
        self.trace.append(f"{self.now:9.3f} {words}")

    def require(self, holds: bool, words: str) -> None:
        if not holds:
            raise Violation(words)


class Channel:
    """Jobs in order, each some time later; none after `close`. `stall_s`: now and then it takes so long."""

    def __init__(self, loop: Loop, delay_s: float, stall_s: float = 0.0) -> None:
        self.loop = loop
        self.is_open = True
        self._delay_s, self._stall_s = delay_s, stall_s
        self._last = 0.0

    def send(self, job: Job) -> None:
        after_s = self.loop.between(0.0, self._delay_s)
        if self._stall_s and self.loop.chance(0.02):
            after_s += self.loop.between(0.0, self._stall_s)
        self._last = max(self._last, self.loop.now + after_s)
        self.loop.at(self._last - self.loop.now, lambda: job() if self.is_open else None)

    def stall(self, for_s: float) -> None:
        self._last = max(self._last, self.loop.now + for_s)

    def close(self) -> None:
        self.is_open = False
