"""An event loop whose clock jumps to the next timer when nobody has anything to do: real asyncio, no real waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

#: a test that never ends would jump for ever
MAX_VIRTUAL_S = 100_000.0
REAL_S = 30.0
ARRIVAL_S = 0.02
#: what a wall clock shows when virtual time begins, in seconds since 1970
WALL_S = 1_700_000_000.0


class _Selector(selectors.SelectSelector):
    """Never waits: the loop's idle time passes at once."""

    now_s = 0.0
    #: threads that the loop waits for; time stands still until they are done
    threads = 0
    #: exchanges over real sockets; their bytes get a moment to arrive before time goes on
    exchanges = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None or (self.threads and timeout > 0):
                return self._waited()
            if self.exchanges and timeout > 0 and (ready := super().select(ARRIVAL_S)):
                return ready
            self.now_s += timeout
            if self.now_s > MAX_VIRTUAL_S:
                raise AssertionError(f"{MAX_VIRTUAL_S:.0f} s of virtual time have passed")
        return ready

    def _waited(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Only a thread or a socket can go on, in real time."""
        ready = super().select(REAL_S)
        if not ready:
            raise AssertionError("nothing will ever happen: every task waits for another")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now_s

    def run_in_executor(  # type: ignore[override]  # typeshed ties the arguments to the function
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        self.selector.threads += 1
        work = super().run_in_executor(executor, func, *args)
        work.add_done_callback(self._thread_ended)
        return work

    def _thread_ended(self, _: object) -> None:
        self.selector.threads -= 1


@asynccontextmanager
async def exchange() -> AsyncGenerator[None, None]:
    """Around what goes over real sockets: without it all of virtual time may pass while bytes are on their way."""
    selector = _LOOP.get().selector
    selector.exchanges += 1
    try:
        yield
    finally:
        selector.exchanges -= 1


#: threads that the loop started have it, too
_LOOP: ContextVar[VirtualLoop] = ContextVar("virtual loop")


def _new_loop() -> VirtualLoop:
    loop = VirtualLoop()
    _LOOP.set(loop)
    return loop


class VirtualClock:
    """The loop's own time."""

    def monotonic(self) -> float:
        return _LOOP.get().time()

    def wall(self) -> float:
        return WALL_S + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
