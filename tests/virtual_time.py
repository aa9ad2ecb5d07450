"""An event loop whose clock jumps to the next timer when nobody has anything to do: real asyncio, no real waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: a test that never ends would jump for ever
MAX_VIRTUAL_S = 100_000.0
REAL_S = 5.0


class _Selector(selectors.SelectSelector):
    """Never waits: the loop's idle time passes at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                return self._waited()
            self.now_s += timeout
            if self.now_s > MAX_VIRTUAL_S:
                raise AssertionError(f"{MAX_VIRTUAL_S:.0f} s of virtual time have passed")
        return ready

    def _waited(self) -> list[tuple[selectors.SelectorKey, int]]:
        """No timer is set: only a thread or a socket can go on, in real time."""
        ready = super().select(REAL_S)
        if not ready:
            raise AssertionError("nothing will ever happen: every task waits for another")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


class VirtualClock:
    """The loop's own time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_700_000_000.0 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
