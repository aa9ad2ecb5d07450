"""What is due when, for pods by uid: all that a cycle launches is due at one moment, so moments are what is ordered."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Timers:
    moments: list[float] = field(default_factory=list)  # a heap
    uids: dict[float, list[str]] = field(default_factory=dict)  # by moment, in the order in which they were added

    def add(self, at: float, uid: str) -> None:
        there = self.uids.get(at)
        if there is None:
            self.uids[at] = [uid]
            heapq.heappush(self.moments, at)
        else:
            there.append(uid)

    def due(self, now: float) -> Iterator[str]:
        """The earliest first; each only once. Who puts a pod off does not take its earlier timer back."""
        while self.moments and self.moments[0] <= now:
            yield from self.uids.pop(heapq.heappop(self.moments))
