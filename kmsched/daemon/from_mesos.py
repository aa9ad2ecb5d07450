"""What the Mesos master says, as events of the core; and the gate that every SUBSCRIBE passes.

Knows which of the master's words end the process, and how.  It does not know offers and tasks beyond their decoding.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import TypeVar

from kmsched.clients import mesos_refusals
from kmsched.clients.backoff import Backoff
from kmsched.clients.mesos import HEALTHY_STREAM_S, Disconnected, Item
from kmsched.clients.mesos_refusals import Identity
from kmsched.clock import Clock
from kmsched.core import events
from kmsched.core.model import Offer
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.errors import ConfigRefused, FrameworkRemoved, ProtocolError
from kmsched.wire import mesos as wire
from kmsched.wire import offers as codec

log = logging.getLogger(__name__)

#: pause before the next SUBSCRIBE after an ERROR
RETRY_BASE_S = 0.2
RETRY_CAP_S = 5.0
#: a master whose authorizer is away refuses for a moment what it will allow
REFUSAL_PATIENCE_S = 15.0

#: words of an ERROR event, in lower case, as Mesos 1.11 puts them
FAILED_OVER_WORDS = "failed over"
REASON_RECONCILIATION = "REASON_RECONCILIATION"

#: reads the events of one subscription after another, until an ERROR
MakeItems = Callable[[], AsyncGenerator[Item, None]]

#: offers that are decoded, or taken by the core, before others have their turn
OFFERS_TOGETHER = 500

T = TypeVar("T")
R = TypeVar("R")


class FromMesos:
    """`run` goes on until cancelled. Fatal errors say why no further SUBSCRIBE can help."""

    def __init__(
        self,
        make_items: MakeItems,
        inbox: Inbox,
        *,
        framework_id: FrameworkId,
        readiness: Readiness,
        metrics: Metrics,
        repeats: Repeats,
        clock: Clock,
        rng: Random,
        overtaken: Callable[[str], Awaitable[None]],
        identity: Identity,
    ) -> None:
        self._make_items = make_items
        self._inbox = inbox
        self._framework_id = framework_id
        self._readiness = readiness
        self._metrics = metrics
        self._repeats = repeats
        self._clock = clock
        self._overtaken = overtaken
        self._identity = identity
        self._backoff = Backoff(RETRY_BASE_S, RETRY_CAP_S, rng)
        self._is_subscribed = False
        self._subscribed_at = clock.monotonic()
        self._refused_since: float | None = None
        self._was_accepted = False
        self._is_wanted, self._is_unwanted, self._is_paused = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._is_wanted.set()

    async def run(self) -> None:
        while True:
            await self._is_wanted.wait()
            reading = asyncio.ensure_future(self._read_forever())
            ending = asyncio.ensure_future(self._is_unwanted.wait())
            try:
                await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
            finally:
                for each in (reading, ending):
                    each.cancel()
                await asyncio.gather(reading, ending, return_exceptions=True)
            await self._lost("this process has ended it, to hand over")
            self._is_paused.set()

    async def pause(self) -> None:
        """End the subscription, and begin no other until `resume`."""
        self._is_paused.clear()
        self._is_wanted.clear()
        self._is_unwanted.set()
        await self._is_paused.wait()

    def resume(self) -> None:
        self._is_unwanted.clear()
        self._is_wanted.set()

    async def _read_forever(self) -> None:
        while True:
            await self.run_once()
            await self._clock.sleep(self._backoff.next_s())

    async def run_once(self) -> None:
        """Until the master ends the conversation with an ERROR that allows another SUBSCRIBE."""
        try:
            async with aclosing(self._make_items()) as items:
                async for item in items:
                    await self._take(item)
        except FrameworkRemoved as error:
            raise FrameworkRemoved(runbook_of_removed(str(error), self._framework_id)) from error
        except ConfigRefused as error:
            # a proxy or a restarting master answers 401 or 403 for a moment, too
            self._bear(error)
            await self._lost(str(error))

    async def _take(self, item: Item) -> None:
        match item:
            case Disconnected():
                await self._lost(item.reason)
            case wire.ErrorEvent():
                await self._refuse_final(item.message)
                await self._lost(f"the master says {item.message!r}")
            case wire.Subscribed():
                await self._framework_id.subscribed(item.framework_id.value)
                self._is_subscribed = self._was_accepted = True
                self._subscribed_at = self._clock.monotonic()
                self._refused_since = None
                self._readiness.unsubscribed = ""
                self._metrics.subscriptions.inc()
                log.info("subscribed with Mesos as framework %s", item.framework_id.value)
                await self._inbox.put(events.Subscribed(item.framework_id.value))
            case wire.UnknownEvent():
                if self._repeats.is_first(item.type):
                    log.warning("Mesos sent an event of the unknown type %s, which is ignored", item.type)
            case wire.Offers():
                arrived, unreadable = await self._decoded(item.offers)
                for first in range(0, len(arrived), OFFERS_TOGETHER):
                    part = arrived[first : first + OFFERS_TOGETHER]
                    await self._inbox.put(events.OffersArrived(part, self._clock.wall()))
                if unreadable:
                    await self._inbox.put(events.OffersArrived((), self._clock.wall(), unreadable))
            case _:
                event = self._decoded_or_told(item, codec.core_event)
                if isinstance(event, events.TaskUpdated):
                    event = self._explained(event)
                    self._metrics.updated(event)
                    log_update(event)
                if event is not None:
                    await self._inbox.put(event)

    def _explained(self, event: events.TaskUpdated) -> events.TaskUpdated:
        """Mesos names the user whose tasks it refuses, and nobody's flag."""
        if event.reason not in mesos_refusals.UNAUTHORIZED_REASONS:
            return event
        return replace(event, message=f"{event.message}; {mesos_refusals.of_tasks(self._identity)}")

    async def _decoded(self, offers: Sequence[wire.Offer]) -> tuple[tuple[Offer, ...], tuple[str, ...]]:
        """The offers, and the ids of those that cannot be read.

        One bad offer must not hide the others that came with it, and thousands must not hold up all else.
        """
        good, unreadable = [], []
        for number, each in enumerate(offers, start=1):
            offer = self._decoded_or_told(each, codec.decode_offer)
            if offer is not None:
                good.append(offer)
            else:
                unreadable.append(each.id.value)
            if number % OFFERS_TOGETHER == 0:
                await asyncio.sleep(0)
        return tuple(good), tuple(unreadable)

    def _decoded_or_told(self, item: T, decode: Callable[[T], R]) -> R | None:
        try:
            return decode(item)
        except ProtocolError as error:
            kind = type(item).__name__
            self._metrics.bad_objects.labels(kind).inc()
            if self._repeats.is_first(str(error)):
                log.error("%s of Mesos is left out: %s", kind, error)
            return None

    async def _lost(self, reason: str) -> None:
        self._readiness.unsubscribed = reason
        if self._repeats.is_news(reason):
            log.warning("no subscription with a Mesos master: %s; trying on", reason)
        if self._is_subscribed:
            self._is_subscribed = False
            await self._inbox.put(events.Disconnected(reason))

    async def _refuse_final(self, message: str) -> None:
        if FAILED_OVER_WORDS in message.lower():
            await self._overtaken(
                f"Mesos says {message!r}: another scheduler subscribed as framework {self._framework_id.value};"
                " this one ends. If nobody started another on purpose, look for a second one with the same framework id"
            )
            log.warning("Mesos says %r, but the lead is ours: subscribing again", message)
            return
        now = self._clock.monotonic()
        if self._is_subscribed:
            if now - self._subscribed_at >= HEALTHY_STREAM_S:
                self._backoff.reset()
            return
        self._bear(
            ConfigRefused(
                f"Mesos refuses to subscribe framework {self._framework_id.framework_name!r}"
                f" (id {self._framework_id.value or 'none yet'}): {message!r};"
                " check --mesos-role, --mesos-user and --mesos-authentication-principal"
            )
        )

    def _bear(self, refusal: ConfigRefused) -> None:
        """Raises it if it lasts. A scheduler that was accepted once goes on trying: its configuration did work, and
        with exit code 10 nobody would start it again.
        """
        now = self._clock.monotonic()
        self._refused_since = now if self._refused_since is None else self._refused_since
        if not self._was_accepted and now - self._refused_since >= REFUSAL_PATIENCE_S:
            raise refusal


def log_update(update: events.TaskUpdated) -> None:
    # answers to our own questions repeat what is known, for every task there is
    log.log(
        logging.DEBUG if update.reason == REASON_RECONCILIATION else logging.INFO,
        "task %s is %s (%s %s) %s",
        update.task_id,
        update.state.value,
        update.source or "no source",
        update.reason or "no reason",
        update.message,
    )


def runbook_of_removed(words: str, framework_id: FrameworkId) -> str:
    """What an operator does when Mesos has completed the framework."""
    return (
        f"{words} (framework id {framework_id.value}). Its tasks were ended; running pods stay bound."
        " Find out who removed it (TEARDOWN, or --failover-timeout passed without a scheduler). To go on"
        f" under a new id: stop the scheduler, km framework reset --confirm {framework_id.value}, start it again;"
        f" {framework_id.where} keeps the term"
    )
