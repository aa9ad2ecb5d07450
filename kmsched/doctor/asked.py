"""A question that several checks share: asked once, when the first of them wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Asked(Generic[T]):
    """`ask` runs at most once; its answer, or its error, is everybody's."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None

    async def answer(self) -> T:
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_seen)
        # a check that runs out of time must not take the answer away from the others
        return await asyncio.shield(self._asking)


def _seen(task: asyncio.Task[T]) -> None:
    """An error that nobody is left to hear of is none."""
    if not task.cancelled():
        task.exception()
