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
from prometheus_client.metrics import MetricWrapperBase

from kmsched.core.effects import AcceptOffers, DeclineOffers, Effect, ReconcileTasks
from kmsched.core.events import Event, TaskUpdated
from kmsched.core.leadership import Role
from kmsched.daemon.offer_metrics import LATENCY_BUCKETS_US, OfferMetrics

CALL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
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
        self.binding_s = Histogram(
            "kmsched_binding_seconds", "Duration of Binding calls", registry=registry, buckets=CALL_BUCKETS_S
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
        self.launches = Counter("kmsched_tasks_launched", "Tasks in ACCEPT calls", registry=registry)
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
        Gauge("mesos_runtime_panics", "Always 0: a defect ends the process, with exit code 70", registry=registry)
        self._offers = OfferMetrics(registry)
        self.lead = LeadMetrics(registry)

    def heard(self, event: Event, now: float) -> None:
        """Before the core steps; `now` is monotonic, as for `decided`."""
        self._offers.heard(event, now)

    def stepped(self, event: Event, duration_s: float) -> None:
        self._step_s.labels(type(event).__name__).observe(duration_s)

    def decided(self, effect: Effect, now: float) -> None:
        self._offers.decided(effect, now)
        self.effects.labels(type(effect).__name__).inc()
        if isinstance(effect, AcceptOffers):
            self.accepts.inc()
            self.launches.inc(len(effect.launches))
            self.pods_per_accept.observe(len(effect.launches))
        elif isinstance(effect, DeclineOffers):
            self.declined.inc(len(effect.offer_ids))
        elif isinstance(effect, ReconcileTasks):
            self.lead.reconciliations["requested"].labels(_kind(effect)).inc()

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

    def taken(self, effect: Effect) -> None:
        """Mesos has answered that it does so."""
        if isinstance(effect, ReconcileTasks):
            self.lead.reconciliations["executed"].labels(_kind(effect)).inc()

    def failed(self, effect: Effect, error: Exception) -> None:
        if isinstance(effect, ReconcileTasks):
            self.lead.reconciliations["cancelled"].labels(_kind(effect)).inc()
        self.calls_failed.labels(type(effect).__name__, type(error).__name__).inc()

    def table(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name, kind, labels and help of each metric, as it is shown."""
        shown = (each for each in self._registry._collector_to_names if isinstance(each, MetricWrapperBase))
        return sorted(
            (
                f"{each._name}{'_total' if each._type == 'counter' else ''}",
                str(each._type),
                tuple(each._labelnames),
                each._documentation,
            )
            for each in shown
        )

    def rendered(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self._registry)


class LeadMetrics:
    """Who leads, since when, and how far a new leader has come."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._is_leader = Gauge("kmsched_leader", "1 on the active leader", registry=registry)
        self._role = Gauge("kmsched_role", "1 for the role that this process has", ["role"], registry=registry)
        self._term = Gauge("kmsched_term", "Term of this process; 0 before it led", registry=registry)
        self._since = Gauge("kmsched_leading_since_seconds", "Wall time at which it won the lead", registry=registry)
        self._leaderless = Gauge(
            "kmsched_leaderless_seconds_total", "Time without a leader, as this process saw it", registry=registry
        )
        self._failovers = Gauge(
            "kmsched_failovers_total",
            "Times that another process took the lead, as this process saw it",
            registry=registry,
        )
        self._dead = Gauge(
            "kmsched_dead_leaders_total", "Leases of dead leaders that this process has ended", registry=registry
        )
        self._left = Gauge(
            "kmsched_dead_leaders_left_total",
            "Leases of dead leaders that this process has left to their TTL, as too many had died within a minute",
            registry=registry,
        )
        self._alarm = Gauge(
            "kmsched_takeover_alarm", "1 while this process leaves dead leaders to their TTL", registry=registry
        )
        self._steps = Gauge(
            "kmsched_takeover_seconds", "From winning the lead to each step", ["step"], registry=registry
        )
        self._pending = Gauge("kmsched_pods_pending", "Pods that wait, by what for", ["reason"], registry=registry)
        self._tasks = Gauge("kmsched_reconciliation_tasks", "Tasks that pods are known to have", registry=registry)
        self._unanswered = Gauge(
            "kmsched_reconciliation_unanswered",
            "Tasks that Mesos was asked for and has not answered",
            registry=registry,
        )
        self.reconciliation_latency = Histogram(
            "mesos_scheduler_reconciliation_latency_microseconds",
            "From SUBSCRIBED until the state of all tasks is known",
            registry=registry,
            buckets=LATENCY_BUCKETS_US,
        )
        # named without the _total that the client library would add: dashboards know it so
        self.reconciliations = {
            stage: Gauge(f"mesos_scheduler_reconciliation_{stage}", words, ["kind"], registry=registry)
            for stage, words in (
                ("requested", "Reconciliations decided"),
                ("executed", "Reconciliations that Mesos has taken"),
                ("cancelled", "Reconciliations that Mesos did not take"),
            )
        }
        for metric in self.reconciliations.values():
            for kind in ("explicit", "implicit"):
                metric.labels(kind)

    def observe(self, role: str, term: int, since_s: float, steps: Mapping[str, float]) -> None:
        """This process. `steps` in seconds after the lead was won."""
        for each in Role:
            self._role.labels(each.value).set(each.value == role)
        self._is_leader.set(role == Role.ACTIVE.value)
        self._term.set(term)
        self._since.set(since_s)
        for step, duration_s in steps.items():
            self._steps.labels(step).set(duration_s)

    def observe_group(
        self, *, leaderless_s: float, failovers: int, dead_leaders: int, left_to_ttl: int, is_alarmed: bool
    ) -> None:
        self._leaderless.set(leaderless_s)
        self._failovers.set(failovers)
        self._dead.set(dead_leaders)
        self._left.set(left_to_ttl)
        self._alarm.set(is_alarmed)

    def observe_work(self, pending: Mapping[str, int], *, tasks: int, unanswered: int) -> None:
        """`pending`: pods by what they wait for."""
        self._pending.clear()
        for reason, count in pending.items():
            self._pending.labels(reason).set(count)
        self._tasks.set(tasks)
        self._unanswered.set(unanswered)


def _kind(effect: ReconcileTasks) -> str:
    return "explicit" if effect.tasks else "implicit"
