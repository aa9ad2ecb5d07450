"""Whether systemd is told that this process lives: only while it works, and does not lead beyond its deadline.

Knows when a sign of life is due and what must hold for it.  How it is sent is in `systemd`.
"""

from __future__ import annotations

from collections.abc import Callable

from kmsched.clock import Clock
from kmsched.core.leadership import Leadership
from kmsched.daemon.systemd import Notifier


class Watchdog:
    """`turned` for each turn of the consumer; one that hangs is not heard of any more."""

    def __init__(self, notifier: Notifier, leadership: Callable[[], Leadership], clock: Clock) -> None:
        self._notifier = notifier
        self._leadership = leadership
        self._clock = clock
        self._fed_at = clock.monotonic()

    def turned(self) -> None:
        now, due_s = self._clock.monotonic(), self._notifier.watchdog_s
        # overdue: what minds the deadline does not run any more
        if due_s and now - self._fed_at >= due_s and not self._leadership().is_overdue(now):
            self._fed_at = now
            self._notifier.alive()
