"""Offers and launches under the old framework's names: each is counted once, where it belongs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from kmsched.core.demand import OTHER_EXECUTOR
from kmsched.core.effects import AcceptOffers, DeclineOffers
from kmsched.core.events import (
    AcceptRefused,
    Disconnected,
    OfferRescinded,
    OffersArrived,
    TaskState,
    TaskUpdated,
)
from kmsched.core.model import Offer
from kmsched.core.resources import ZERO
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.offer_metrics import OfferMetrics
from tests.daemon.values import accept


class Counts:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.made = OfferMetrics(self.registry)

    def offers(self, *ids: str) -> None:
        self.made.heard(OffersArrived(tuple(Offer(each, "agent-1", "h1", ZERO) for each in ids)), 0.0)

    def of(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def declined(self, reason: str) -> float:
        return self.of("mesos_offers_declined", hostname="h1", reason=reason)


def test_every_end_of_an_offer_is_counted_once() -> None:
    counts = Counts()
    counts.offers("o1", "o2", "o3", "o4", "o5", "o6")
    counts.made.decided(DeclineOffers(("o1",), 5.0, cause="ttl", reason="nothing fits"), 1.0)
    counts.made.decided(DeclineOffers(("o2",), 5.0, cause=OTHER_EXECUTOR, reason="km-1"), 1.0)
    counts.made.decided(DeclineOffers(("o3",), 0.0, cause="agent failed", reason="it was removed"), 1.0)
    for _ in range(2):
        counts.made.heard(OfferRescinded("o4"), 1.0)
    counts.made.decided(replace(accept("web", "db"), offer_ids=("o5", "o6")), 1.0)
    counts.made.heard(OfferRescinded("o5"), 1.0)
    assert counts.of("mesos_offers_received", hostname="h1") == 6
    assert counts.of("mesos_offers_acquired", hostname="h1") == 2
    assert {each: counts.declined(each) for each in ("expired", "compat", "gone", "rescinded")} == {
        "expired": 1,
        "compat": 1,
        "gone": 1,
        "rescinded": 1,
    }


def test_what_is_void_was_not_declined() -> None:
    counts = Counts()
    counts.offers("o1")
    counts.made.heard(Disconnected("the master is gone"), 1.0)
    counts.made.heard(OfferRescinded("o1"), 2.0)
    assert counts.declined("rescinded") == 0


def test_offers_of_an_accept_that_was_not_taken_are_released() -> None:
    counts = Counts()
    counts.offers("o1", "o2")
    effect = replace(accept("web", "db"), offer_ids=("o1", "o2"))
    counts.made.decided(effect, 1.0)
    tasks = tuple(launch.task_id for launch in effect.launches)
    for _ in range(2):
        counts.made.heard(AcceptRefused(tasks, "no subscription"), 2.0)
    assert counts.of("mesos_offers_released", hostname="h1") == 2


@pytest.mark.parametrize(
    ("mode", "state", "observed"),
    [
        ("bind", TaskState.STARTING, 1),
        ("bind", TaskState.RUNNING, 1),
        ("bind", TaskState.FAILED, 0),
        ("bind", TaskState.STAGING, 0),
        ("adopt", TaskState.STARTING, 0),
    ],
)
def test_the_latency_is_from_the_launch_until_the_executor_has_the_task(
    mode: str, state: TaskState, observed: int
) -> None:
    counts = Counts()
    counts.offers("offer-1")
    effect: AcceptOffers = accept("web")
    counts.made.decided(replace(effect, launches=(replace(effect.launches[0], mode=mode),)), 10.0)
    for now in (10.25, 11.0):
        counts.made.heard(TaskUpdated(effect.launches[0].task_id, state), now)
    assert counts.of("mesos_scheduler_bind_latency_microseconds_count") == observed
    assert counts.of("mesos_scheduler_bind_latency_microseconds_sum") == observed * 250_000


def test_all_names_that_the_old_framework_had_are_there() -> None:
    named = {name: labels for name, _, labels, _ in Metrics().table()}
    assert {name: labels for name, labels in named.items() if not name.startswith("kmsched_")} == {
        "mesos_offers_acquired": ("hostname",),
        "mesos_offers_declined": ("hostname", "reason"),
        "mesos_offers_received": ("hostname",),
        "mesos_offers_released": ("hostname",),
        "mesos_runtime_panics": (),
        "mesos_scheduler_bind_latency_microseconds": (),
        "mesos_scheduler_queue_wait_time_microseconds": (),
        "mesos_scheduler_reconciliation_cancelled": ("kind",),
        "mesos_scheduler_reconciliation_executed": ("kind",),
        "mesos_scheduler_reconciliation_latency_microseconds": (),
        "mesos_scheduler_reconciliation_requested": ("kind",),
        "mesos_scheduler_status_updates": ("source", "reason", "state"),
    }
    assert b"mesos_runtime_panics 0.0" in Metrics().rendered()
