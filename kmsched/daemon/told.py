"""What a scheduler process tells of itself: the content of its pages, and its reasons for not being ready.

Knows what is to be read from which part.  It changes nothing; forms and paths are `web_routes`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from kmsched import __version__
from kmsched.clock import Clock
from kmsched.config import SchedulerConfig
from kmsched.core.agent_views import agents, offers
from kmsched.core.leadership import Role
from kmsched.core.views import Now, explain_pod, pending, pods, summary
from kmsched.daemon.core import Core
from kmsched.daemon.decisions import Decisions
from kmsched.daemon.group import Group
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.lead import Lead
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.specs import Specs
from kmsched.daemon.tenure import Tenure
from kmsched.daemon.web_routes import Views

#: reasons for waiting that are told apart; the rest is only counted
MAX_REASONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`group`: with `--ha`. `url`: where these pages are, once they are."""

    config: SchedulerConfig
    hostname: str
    core: Core
    lead: Lead
    group: Group | None
    framework_id: FrameworkId
    specs: Specs
    inbox: Inbox
    readiness: Readiness
    metrics: Metrics
    decisions: Decisions
    tenure: Tenure
    clock: Clock
    is_alive: Callable[[], bool]
    url: Callable[[], str]

    def views(self) -> Views:
        return Views(
            is_alive=self.is_alive,
            readiness=self.ready,
            metrics=self.rendered_metrics,
            status=self.status,
            pod=lambda key: explain_pod(self.core.state, key, self.now()),
            pods=lambda part, states, namespace: pods(
                self.core.state, part, self.now(), states=states, namespace=namespace
            ),
            decisions=self.decisions.listed,
            pending=lambda: pending(self.core.state, MAX_REASONS, self.now()),
            agents=self.agents,
            offers=lambda part: offers(self.core.state, part, self.now()),
            executors=lambda: {"executors": self.specs.listed(self.core.agents_by_executor())},
            executor=self.specs.found,
            leader=self.leader,
        )

    def now(self) -> Now:
        return Now(self.clock.monotonic(), self.clock.wall())

    def reasons(self) -> list[str]:
        """Why this process cannot do what its role asks; a standby only has to be able to lead."""
        if self.group is None:
            return self.readiness.reasons()
        of_etcd = [f"etcd: {self.group.election.trouble}"] if self.group.election.trouble else []
        if self.lead.role == Role.STANDBY.value:
            of_group = [*self.group.reasons_of_place(), *self.group.reasons_of_fingerprint()]
            of_copies = self.readiness.reasons_of_copies() or self.group.reasons_of_membership()
            return [*of_etcd, *of_group, *of_copies]
        return [*of_etcd, *self.readiness.reasons()]

    def warnings(self) -> list[str]:
        """What is wrong and lets this process work all the same."""
        alarm = "" if self.group is None else self.group.deadman.alarm
        return [*self.readiness.warnings(), *([alarm] if alarm else [])]

    def is_leading(self) -> bool:
        """Whether there is a lead to give away; a leader that is suspended does not know."""
        return self.group is None or self.group.leads

    def is_leader(self) -> bool:
        return self.lead.role == Role.ACTIVE.value

    def ready(self) -> dict[str, Any]:
        reasons = self.reasons()
        return {
            "ready": not reasons,
            "reasons": reasons,
            "warnings": self.warnings(),
            "role": self.lead.role,
            "term": self.core.state.term,
            "since_s": self.tenure.since_s or None,
            "framework_id": self.framework_id.value,
            "fingerprint": self.specs.ours,
            "version": __version__,
        }

    def leader(self) -> dict[str, Any]:
        """Of this process, and of the one that leads."""
        if self.group is not None:
            return {**msgspec.to_builtins(self.group.hello()), **self.ready(), **self.group.seen()}
        term = self.core.state.term
        alone = {"instance": self.hostname, "url": self.url()} if self.is_leader() else None
        return {"instance": self.hostname, **self.ready(), "leader": alone, "leader_term": term, "members": []}

    def status(self) -> dict[str, Any]:
        return {**self.ready(), **summary(self.core.state), "events_waiting": len(self.inbox)}

    def status_line(self) -> str:
        """For systemd."""
        state, reasons = self.core.state, self.reasons()
        role = "leader" if self.is_leader() else self.lead.role
        words = f"{role}, term {state.term}, {self.core.agents()} agents, {len(state.pods)} pods"
        return f"{words}; waiting: {reasons[0]}" if reasons else words

    def agents(self) -> dict[str, Any]:
        hot = {"version": self.core.state.term, "values": dict(self.config.hot_settings)}
        return {"fingerprint": self.specs.ours, "settings": hot, "agents": agents(self.core.state)}

    def rendered_metrics(self) -> bytes:
        core, lead = self.core, self.metrics.lead
        self.metrics.observe_state(
            core.pods_by_state(),
            agents=core.agents(),
            by_fingerprint=core.agents_by_fingerprint(),
            offers_held=core.offers_held(),
            is_ready=not self.reasons(),
        )
        tasks, unanswered = core.tasks()
        lead.observe(self.lead.role, core.state.term, self.tenure.since_s, self.tenure.steps)
        lead.observe_work(core.pending_by_kind(), tasks=tasks, unanswered=unanswered)
        if self.group is not None:
            vacancy, deadman = self.group.election.vacancy, self.group.deadman
            lead.observe_group(
                leaderless_s=vacancy.total_s,
                failovers=vacancy.failovers,
                dead_leaders=deadman.revoked,
                left_to_ttl=deadman.left,
                is_alarmed=bool(deadman.alarm),
            )
        return self.metrics.rendered()
