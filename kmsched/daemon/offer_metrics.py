"""What becomes of offers and launches, counted under the names that the old framework's dashboards know.

Knows which event or effect means what to each count, and remembers hosts and moments in between.  It decides nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge, Histogram

from kmsched.core.demand import OTHER_EXECUTOR
from kmsched.core.effects import AcceptOffers, DeclineOffers, Effect
from kmsched.core.events import (
    AcceptRefused,
    Disconnected,
    Event,
    OfferRescinded,
    OffersArrived,
    Subscribed,
    TaskState,
    TaskUpdated,
)

T = TypeVar("T")

MICROSECONDS = 1_000_000
LATENCY_BUCKETS_US = (1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 3e7, 6e7, 3e8)
#: offers held, or launches unanswered, beyond which the oldest are not counted any more
MAX_REMEMBERED = 100_000
#: why an offer was declined, by the effect's cause; any other: its agent or executor has gone
DECLINED: Mapping[str, str] = MappingProxyType({"ttl": "expired", OTHER_EXECUTOR: "compat"})
RESCINDED, GONE = "rescinded", "gone"
#: of a task whose executor has it
HAS_STARTED = frozenset({TaskState.STARTING, TaskState.RUNNING})


@dataclass(frozen=True, slots=True)
class _Launched:
    """`offers`: of the whole ACCEPT, with the first of its tasks; 0 with the others."""

    at: float
    hostname: str
    offers: int
    is_new: bool


class OfferMetrics:
    """`heard` before the core steps, `decided` after; both take monotonic seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # named without the _total that the client library would add: dashboards know them so
        self._received = Gauge("mesos_offers_received", "Offers received", ["hostname"], registry=registry)
        self._acquired = Gauge("mesos_offers_acquired", "Offers taken for an ACCEPT", ["hostname"], registry=registry)
        self._released = Gauge(
            "mesos_offers_released", "Offers whose ACCEPT was not taken", ["hostname"], registry=registry
        )
        self._declined = Gauge(
            "mesos_offers_declined",
            "Offers given up: expired (nothing fitted), compat (another executor there), rescinded (by Mesos),"
            " gone (its agent or executor)",
            ["hostname", "reason"],
            registry=registry,
        )
        self._bind_latency = Histogram(
            "mesos_scheduler_bind_latency_microseconds",
            "From a pod's launch until its executor has the task",
            registry=registry,
            buckets=LATENCY_BUCKETS_US,
        )
        self._host_of: OrderedDict[str, str] = OrderedDict()
        self._launched: OrderedDict[str, _Launched] = OrderedDict()

    def heard(self, event: Event, now: float) -> None:
        match event:
            case OffersArrived(offers):
                for offer in offers:
                    self._received.labels(offer.hostname).inc()
                    _remember(self._host_of, offer.offer_id, offer.hostname)
            case OfferRescinded(offer_id):
                self._give_up(offer_id, RESCINDED)
            case Subscribed() | Disconnected():
                self._host_of.clear()
            case AcceptRefused(task_ids):
                for launched in (self._launched.pop(task_id, None) for task_id in task_ids):
                    if launched is not None and launched.offers:
                        self._released.labels(launched.hostname).inc(launched.offers)
            case TaskUpdated(task_id, state) if state is not TaskState.STAGING:
                launched = self._launched.pop(task_id, None)
                if launched is not None and launched.is_new and state in HAS_STARTED:
                    self._bind_latency.observe((now - launched.at) * MICROSECONDS)

    def decided(self, effect: Effect, now: float) -> None:
        match effect:
            case AcceptOffers():
                hosts = [self._host_of.pop(offer_id, "") for offer_id in effect.offer_ids]
                if hosts:
                    self._acquired.labels(hosts[0]).inc(len(hosts))
                for place, launch in enumerate(effect.launches):
                    offers = 0 if place else len(hosts)
                    launched = _Launched(now, hosts[0] if hosts else "", offers, launch.mode == "bind")
                    _remember(self._launched, launch.task_id, launched)
            case DeclineOffers():
                for offer_id in effect.offer_ids:
                    self._give_up(offer_id, DECLINED.get(effect.cause, GONE))

    def _give_up(self, offer_id: str, reason: str) -> None:
        hostname = self._host_of.pop(offer_id, None)
        if hostname is not None:
            self._declined.labels(hostname, reason).inc()


def _remember(known: OrderedDict[str, T], key: str, value: T) -> None:
    known[key] = value
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
