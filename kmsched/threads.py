"""Running what blocks beside the event loop. Knows nothing of what it runs, nor when that shall end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class _Daemons(Executor):
    """A thread for each job. Unlike those of asyncio's own executor, nobody waits for them at the end."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(fn(*args, **kwargs))
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=run, daemon=True, name="beside the loop").start()
        return outcome


_DAEMONS = _Daemons()


async def in_thread(job: Callable[[], T]) -> T:
    """Run what blocks; the end of the process does not wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_DAEMONS, copy_context().run, job)
