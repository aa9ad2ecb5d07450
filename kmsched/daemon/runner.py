"""The one consumer: events in their order through the core, effects out, a tick when there was work.

A scheduling cycle that is cut into slices goes on behind what waits, so that news, calls and leases have their turn.

Knows when to step and that a core that raises ends the process.  It does not know what events mean, how effects are
executed, or what the state looks like.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from kmsched.clock import Clock
from kmsched.core.effects import Effect
from kmsched.core.events import CycleInterrupted, Event, Ticked
from kmsched.daemon.decisions import Decisions
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.metrics import Metrics
from kmsched.errors import InternalError

log = logging.getLogger(__name__)

#: events stepped, or time spent on them, before other tasks of the process get their turn
MAX_BATCH = 200
TURN_S = 0.02
#: how long news is gathered before a cycle places pods: pods that come together share an ACCEPT
GATHER_S = 0.025
#: deadlines of the core are looked at this often when nothing happens
TICK_S = 0.2

Step = Callable[[Event, float], Sequence[Effect]]


class Runner:
    """`step(event, now)` is the core with its state; `execute` takes each effect and returns at once.

    `is_placing`: has the core a cycle under way?
    """

    def __init__(
        self,
        step: Step,
        execute: Callable[[Effect], None],
        *,
        inbox: Inbox,
        decisions: Decisions,
        metrics: Metrics,
        clock: Clock,
        is_placing: Callable[[], bool] = lambda: False,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._step = step
        self._execute = execute
        self._inbox = inbox
        self._decisions = decisions
        self._metrics = metrics
        self._clock = clock
        self._is_placing = is_placing
        self._on_turn = on_turn
        self._has_news = False
        self._is_tick_waiting = False
        self._is_slice_waiting = False
        self._gathering: asyncio.Task[None] | None = None
        self._last_tick = clock.monotonic()
        self.turned_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled. InternalError when the core raises."""
        ticking = asyncio.create_task(self._tick_forever())
        try:
            while True:
                await self.turn()
        finally:
            ticking.cancel()
            if self._gathering is not None:
                self._gathering.cancel()

    async def turn(self) -> None:
        """Wait for events, step them, execute what follows."""
        events = await self._inbox.drain(MAX_BATCH)
        began = self._clock.monotonic()
        for event in events:
            self._take(event)
            if self._clock.monotonic() - began >= TURN_S:
                await asyncio.sleep(0)
                began = self._clock.monotonic()
        self._metrics.events_waiting.set(len(self._inbox))
        self.turned_at = self._clock.monotonic()
        self._on_turn()
        # a full inbox never makes `drain` wait, and the others must have their turn
        await asyncio.sleep(0)

    def tick_if_due(self) -> bool:
        """Put a tick behind what waits, if there was news or it is time."""
        now = self._clock.monotonic()
        is_due = not self._is_tick_waiting and (self._has_news or now - self._last_tick >= TICK_S)
        if is_due:
            self._has_news = False
            self._is_tick_waiting = True
            self._last_tick = now
            self._inbox.put_now(Ticked())
        return is_due

    async def _tick_forever(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self.tick_if_due()

    async def _tick_soon(self) -> None:
        await self._clock.sleep(GATHER_S)
        self._gathering = None
        self.tick_if_due()

    def _take(self, event: Event) -> None:
        started = self._clock.monotonic()
        self._metrics.heard(event, started)
        try:
            following = self._step(event, started)
        except Exception as error:
            kind = type(event).__name__
            log.exception("the core cannot take %s: %r", kind, event)
            raise InternalError(
                f"the core cannot take {kind}: {type(error).__name__}: {error};"
                " this is a defect of kmsched: keep the log and report it; pods run on meanwhile"
            ) from error
        self._metrics.stepped(event, self._clock.monotonic() - started)
        if isinstance(event, Ticked):
            self._is_tick_waiting = False
        elif isinstance(event, CycleInterrupted):
            self._is_slice_waiting = False
        else:
            self._has_news = True
            # an idle scheduler wakes up for its deadlines only
            if self._gathering is None:
                self._gathering = asyncio.create_task(self._tick_soon())
        for effect in following:
            self._decisions.record(effect)
            self._metrics.decided(effect, started)
            self._execute(effect)
        if self._is_placing() and not self._is_slice_waiting:
            self._is_slice_waiting = True
            self._inbox.put_now(CycleInterrupted())
