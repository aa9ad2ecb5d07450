"""Effects that are Mesos calls: one sequence, each sent after the one before it was answered.

Knows which failures mean that a call surely did not happen, and which effects may be sent twice.  It does not decide
anew: what is dropped here, the core asks for again by its own timers.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Protocol

from kmsched.clients.backoff import Backoff
from kmsched.clients.mesos import Subscription
from kmsched.clock import Clock
from kmsched.core.effects import (
    AcceptOffers,
    AcknowledgeUpdate,
    AnswerInverseOffer,
    ConfigureExecutor,
    DeclineOffers,
    KillTask,
    ReconcileTasks,
    ReviveOffers,
    SuppressOffers,
)
from kmsched.core.events import AcceptRefused, Event
from kmsched.daemon.metrics import Metrics
from kmsched.errors import Invalid, NotSubscribed, Unavailable
from kmsched.wire import hotsettings, mesos_calls
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos_calls import Call

log = logging.getLogger(__name__)

#: a DECLINE waits besides: each offer has at most one, and a master keeps for us what is never declined
MAX_WAITING = 10_000
#: A call that may happen twice without harm is sent so often while its outcome is not known: a lost DECLINE or REVIVE
#: would never be noticed.  By then the heartbeat watchdog has ended the subscription of a master that is gone.
MAX_SENDS = 8
RETRY_BASE_S = 0.1
RETRY_CAP_S = 2.0

MesosEffect = (
    AcceptOffers
    | AcknowledgeUpdate
    | AnswerInverseOffer
    | ConfigureExecutor
    | DeclineOffers
    | KillTask
    | ReconcileTasks
    | ReviveOffers
    | SuppressOffers
)
#: what makes an ACCEPT call of the effect and of the framework id
MakeAccept = Callable[[AcceptOffers, str], Call]


NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class MesosCalls(Protocol):
    """The part of `MesosScheduler` that is used here."""

    @property
    def subscription(self) -> Subscription | None: ...

    async def call(self, call: Call) -> None: ...


class ToMesos:
    """`put` never waits; `run` sends until cancelled."""

    def __init__(
        self,
        mesos: MesosCalls,
        make_accept: MakeAccept,
        *,
        report: Callable[[Event], None],
        metrics: Metrics,
        clock: Clock,
        rng: Random,
        hot_settings: Mapping[str, str] = NO_SETTINGS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._mesos = mesos
        self._hot_settings = hot_settings
        self._make_accept = make_accept
        self._report = report
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._max_waiting = max_waiting
        self._queue: asyncio.Queue[tuple[MesosEffect, Subscription]] = asyncio.Queue()

    def put(self, effect: MesosEffect) -> None:
        subscription = self._mesos.subscription
        if subscription is None:
            self._not_sent(effect, NotSubscribed("no subscription with a Mesos master stands"))
            return
        if isinstance(effect, DeclineOffers) or self._queue.qsize() < self._max_waiting:
            self._queue.put_nowait((effect, subscription))
            return
        self._not_sent(effect, Unavailable(f"{self._max_waiting} calls to Mesos wait already"))
        if isinstance(effect, AcceptOffers):
            declined = DeclineOffers(effect.offer_ids, 0.0, cause=effect.cause, reason="its ACCEPT is not sent")
            self._queue.put_nowait((declined, subscription))

    async def run(self) -> None:
        while True:
            await self.send_next()

    async def send_next(self) -> None:
        effect, subscription = await self._queue.get()
        if self._mesos.subscription is not subscription:
            # offers of an ended subscription are void; everything else is asked for again after SUBSCRIBED
            self._not_sent(effect, NotSubscribed("its subscription ended before its turn"))
            return
        call = self._call_of(effect, subscription.framework_id)
        if not isinstance(effect, AcceptOffers):
            await self._send(effect, call, subscription)
            return
        try:
            await self._mesos.call(call)
        except NotSubscribed as error:
            self._not_sent(effect, error)
        except (Invalid, Unavailable) as error:
            if isinstance(error, Invalid):
                self._not_sent(effect, error)
            else:
                self._unknown(effect, error)
            # if it never arrived, the master would keep these offers for us for ever; if it did, this is ignored
            await self._send(effect, mesos_calls.decline(effect.offer_ids, refuse_s=0.0), subscription)

    async def _send(self, effect: MesosEffect, call: Call, subscription: Subscription) -> None:
        """A call that may happen twice: until it is answered, or its subscription has ended."""
        backoff = Backoff(RETRY_BASE_S, RETRY_CAP_S, self._rng)
        for _ in range(MAX_SENDS):
            try:
                await self._mesos.call(call)
                self._metrics.taken(effect)
                return
            except (NotSubscribed, Invalid) as error:
                if not isinstance(effect, AcceptOffers):
                    self._not_sent(effect, error)
                return
            except Unavailable as error:
                failure = error
            await self._clock.sleep(backoff.next_s())
            if self._mesos.subscription is not subscription:
                break
        self._unknown(effect, failure)

    def _unknown(self, effect: MesosEffect, error: Exception) -> None:
        self._metrics.failed(effect, error)
        log.warning("%s: whether Mesos took it is not known: %s", type(effect).__name__, error)

    def _not_sent(self, effect: MesosEffect, error: Exception) -> None:
        self._metrics.failed(effect, error)
        log.warning("%s was not taken by Mesos: %s", type(effect).__name__, error)
        if isinstance(effect, AcceptOffers):
            self._report(AcceptRefused(tuple(launch.task_id for launch in effect.launches), str(error)))

    def _call_of(self, effect: MesosEffect, framework_id: str) -> Call:
        match effect:
            case AcceptOffers():
                return self._make_accept(effect, framework_id)
            case DeclineOffers():
                return mesos_calls.decline(effect.offer_ids, refuse_s=effect.refuse_s)
            case SuppressOffers():
                return mesos_calls.suppress()
            case AnswerInverseOffer():
                return mesos_calls.answer_inverse_offer(effect.offer_id, may_go=effect.may_go, refuse_s=effect.refuse_s)
            case ReviveOffers():
                return mesos_calls.revive()
            case AcknowledgeUpdate():
                return mesos_calls.acknowledge(effect.agent_id, effect.task_id, base64.b64decode(effect.update_id))
            case KillTask():
                return mesos_calls.kill(effect.task_id, effect.agent_id or None)
            case ConfigureExecutor():
                told = HotSettings(settings_version=effect.version, settings=dict(self._hot_settings))
                return mesos_calls.message(effect.agent_id, effect.executor_id, hotsettings.encode(told))
            case ReconcileTasks():
                return mesos_calls.reconcile((task, agent or None) for task, agent in effect.tasks)
