"""Time as a parameter: what daemon, executor and clients may ask of a clock.

Knows monotonic time, wall time and sleeping.  The simulator and tests pass their own.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Deadlines use `monotonic`; only what people or other machines read uses `wall`."""

    def monotonic(self) -> float:
        """Seconds that only go forward; the origin means nothing."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        # counts on while the machine is suspended, as etcd's clock elsewhere does: a lease may be gone afterwards
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
