"""The one queue of events between everything that hears and the one consumer that steps.

Knows order and room.  News from outside waits when there is no room, so that a slow core slows its sources down; how
an effect ended never waits, because the consumer itself made it, and effects under way are bounded where they are run.
"""

from __future__ import annotations

import asyncio

from kmsched.core.events import Event

MAX_NEWS = 10_000
#: news after which a source that has more to tell lets others have their turn: room alone makes nobody wait
HEARD_TOGETHER = 50


class Inbox:
    """First in, first out. `max_news` bounds what comes by `put`."""

    def __init__(self, max_news: int = MAX_NEWS) -> None:
        self._queue: asyncio.Queue[tuple[Event, bool]] = asyncio.Queue()
        self._room = asyncio.Semaphore(max_news)
        self._heard = 0

    def __len__(self) -> int:
        return self._queue.qsize()

    async def put(self, event: Event) -> None:
        """News from outside; waits for room."""
        await self._room.acquire()
        self._queue.put_nowait((event, True))
        self._heard += 1
        if self._heard % HEARD_TOGETHER == 0:
            await asyncio.sleep(0)

    def put_now(self, event: Event) -> None:
        """How an effect ended, or a tick."""
        self._queue.put_nowait((event, False))

    async def drain(self, limit: int) -> list[Event]:
        """All that waits, at most `limit` events; waits for the first."""
        taken = [self._admit(await self._queue.get())]
        while len(taken) < limit and not self._queue.empty():
            taken.append(self._admit(self._queue.get_nowait()))
        return taken

    def _admit(self, entry: tuple[Event, bool]) -> Event:
        event, is_news = entry
        if is_news:
            self._room.release()
        return event
