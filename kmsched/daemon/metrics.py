"""Counters and times of one scheduler, in a registry of its own.

Knows names and labels; those that the old framework had keep their names, so that its dashboards go on.  It measures
nothing itself: the runner and those who execute effects tell it.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from kmsched.core.effects import AcceptOffers, DeclineOffers, Effect
from kmsched.core.events import TaskUpdated

MICROSECONDS = 1_000_000
LATENCY_BUCKETS_US = (1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 3e7, 6e7, 3e8)
STEP_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BATCH_BUCKETS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 110)


class Metrics:
    """Everything that /metrics shows."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        self.queue_wait = Histogram(
            "mesos_scheduler_queue_wait_time_microseconds",
            "From the pod's creation until it was launched",
            registry=registry,
            buckets=LATENCY_BUCKETS_US,
        )
        self.bind_latency = Histogram(
            "mesos_scheduler_bind_latency_microseconds",
            "Duration of Binding calls",
            registry=registry,
            buckets=LATENCY_BUCKETS_US,
        )
        # named without the _total that the client library would add: dashboards know it so
        self._status_updates = Gauge(
            "mesos_scheduler_status_updates",
            "Status updates received",
            ["source", "reason", "state"],
            registry=registry,
        )
        self._pods = Gauge("kmsched_pods", "Pods known, by state", ["state"], registry=registry)
        self._agents = Gauge("kmsched_agents", "Agents with offers or tasks of ours", registry=registry)
        self._by_fingerprint = Gauge(
            "kmsched_agents_by_fingerprint",
            "Agents by the executor that runs there; new pods go to ours only",
            ["fingerprint", "ours"],
            registry=registry,
        )
        self._offers_held = Gauge("kmsched_offers_held", "Offers held now", registry=registry)
        self.accepts = Counter("kmsched_accepts", "ACCEPT calls decided", registry=registry)
        self.launches = Counter("kmsched_tasks_launched", "Tasks in those ACCEPT calls", registry=registry)
        self.pods_per_accept = Histogram(
            "kmsched_pods_per_accept", "Tasks in one ACCEPT", registry=registry, buckets=BATCH_BUCKETS
        )
        self.declined = Counter("kmsched_offers_declined", "Offers declined", registry=registry)
        self.effects = Counter("kmsched_effects", "Effects decided", ["effect"], registry=registry)
        self.calls_failed = Counter(
            "kmsched_calls_failed", "Effects that upstream did not take", ["effect", "error"], registry=registry
        )
        self.bad_objects = Counter(
            "kmsched_bad_objects", "Objects of an upstream that were skipped", ["kind"], registry=registry
        )
        self.events_waiting = Gauge("kmsched_events_waiting", "Events that wait for the core", registry=registry)
        self._step_s = Histogram(
            "kmsched_step_seconds", "Time in the core", ["event"], registry=registry, buckets=STEP_BUCKETS_S
        )
        self._is_ready = Gauge("kmsched_ready", "1 when /readyz says so", registry=registry)
        self.subscriptions = Counter("kmsched_subscriptions", "SUBSCRIBED received", registry=registry)

    def stepped(self, event: str, duration_s: float) -> None:
        self._step_s.labels(event).observe(duration_s)

    def decided(self, effect: Effect) -> None:
        self.effects.labels(type(effect).__name__).inc()
        if isinstance(effect, AcceptOffers):
            self.accepts.inc()
            self.launches.inc(len(effect.launches))
            self.pods_per_accept.observe(len(effect.launches))
        elif isinstance(effect, DeclineOffers):
            self.declined.inc(len(effect.offer_ids))

    def updated(self, update: TaskUpdated) -> None:
        self._status_updates.labels(update.source, update.reason, update.state.value).inc()

    def observe_state(
        self,
        pods: Mapping[str, int],
        *,
        agents: int,
        by_fingerprint: Mapping[tuple[str, bool], int],
        offers_held: int,
        is_ready: bool,
    ) -> None:
        """What is read off the core when somebody asks. `by_fingerprint`: agents by (fingerprint, is it ours)."""
        self._by_fingerprint.clear()
        for (fingerprint, is_ours), count in by_fingerprint.items():
            self._by_fingerprint.labels(fingerprint, str(is_ours).lower()).set(count)
        self._pods.clear()
        for state, count in pods.items():
            self._pods.labels(state).set(count)
        self._agents.set(agents)
        self._offers_held.set(offers_held)
        self._is_ready.set(is_ready)

    def failed(self, effect: Effect, error: Exception) -> None:
        self.calls_failed.labels(type(effect).__name__, type(error).__name__).inc()

    def rendered(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)
