"""How long to wait before the next try: doubled each time, capped, jittered.

Knows numbers only; who waits, and by which clock, is the caller's matter.
"""

from __future__ import annotations

from random import Random

#: Doublings beyond this change nothing under any sensible cap, and keep the power finite.
MAX_DOUBLINGS = 32


class Backoff:
    """Delays in seconds: between a half and the whole of `base_s` x 2^n, never above `cap_s`."""

    def __init__(self, base_s: float, cap_s: float, rng: Random) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._rng = rng
        self._doublings = 0

    def next_s(self) -> float:
        whole = min(self._cap_s, self._base_s * 2.0**self._doublings)
        self._doublings = min(self._doublings + 1, MAX_DOUBLINGS)
        return whole * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """After a success that lasted: the next delay is the shortest again."""
        self._doublings = 0
