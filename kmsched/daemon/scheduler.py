"""Scheduling: sources, core, queue and outlets wired to each other.

Knows who talks to whom and the gate before each SUBSCRIBE.  It does not know files, signals, leases or how terms are
made: who leads is asked of a `Lead`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from types import MappingProxyType

from kmsched import fingerprint
from kmsched.clients.kube_rights import DEFAULT_SCHEDULER_NAME
from kmsched.clients.store import Store
from kmsched.config import SchedulerConfig
from kmsched.core.effects import AcceptOffers, Effect
from kmsched.core.events import Resumed
from kmsched.core.leadership import Fact, Leadership
from kmsched.core.state import Link
from kmsched.daemon import settings, web_acts, web_page, web_peers, web_routes
from kmsched.daemon.core import Core
from kmsched.daemon.decisions import Decisions
from kmsched.daemon.group import Group
from kmsched.daemon.identity import FrameworkId, next_term
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.lead import Lead, SoleLead
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.offer_metrics import MICROSECONDS
from kmsched.daemon.outlets import Outlets
from kmsched.daemon.pod_reader import PodReader
from kmsched.daemon.preflight import await_access, tell_findings
from kmsched.daemon.promises import keep_promises
from kmsched.daemon.reach import Reach
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.daemon.rival import watch_for_rival
from kmsched.daemon.runner import Runner
from kmsched.daemon.sources import Sources
from kmsched.daemon.specs import Specs
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.systemd import Notifier
from kmsched.daemon.tenure import FIRST_ACCEPT, RECONCILED, SUBSCRIBED, Tenure
from kmsched.daemon.told import Told
from kmsched.daemon.watchdog import Watchdog
from kmsched.daemon.web import Web
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_acts import HandOver

log = logging.getLogger(__name__)

STATUS_S = 2.0
#: a consumer that has not turned for so long is not alive
ALIVE_S = 10.0
#: before the lead was won
NO_TERM = 0

#: what the lead is told when the subscription has come this far
FACTS: Mapping[Link, Fact] = MappingProxyType(
    {Link.DISCONNECTED: Fact.UNSUBSCRIBED, Link.RECONCILING: Fact.SUBSCRIBED, Link.ACTIVE: Fact.SETTLED}
)


class Scheduler:
    """`run` once, then `close`. `group`: with `--ha`. `hand_over`: for who asks by HTTP, and for a leader in need.

    `listening`: of the process that this one replaces; then it answers nobody and leads nothing before `begin`.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        surroundings: Surroundings,
        store: Store,
        framework_id: FrameworkId,
        notifier: Notifier,
        digests: Mapping[str, str],
        group: Group | None = None,
        hand_over: HandOver | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        self._config = config
        self._surroundings = surroundings
        self._store = store
        self._framework_id = framework_id
        self._notifier = notifier
        clock = self._clock = surroundings.clock
        self._specs = Specs(store, fingerprint.executor_spec(config, digests))
        self._synced = asyncio.Event()
        self._is_subscribed = asyncio.Event()
        self._linked = Link.DISCONNECTED
        self._subscribed_at = clock.monotonic()
        self.core = Core(settings.core_settings(config, digests), NO_TERM, surroundings.step)
        self.readiness = Readiness(clock, self.core.is_reconciled)
        self._group = group
        self._is_replacement = listening is not None
        self.lead: Lead = SoleLead(self._next_term, is_held=self._is_replacement) if group is None else group.lead
        if group is not None:
            group.join(
                self._specs.ours,
                differences=self._specs.differences,
                reasons_not_to_lead=self.readiness.reasons_of_copies,
                highest_term=self.core.highest_term,
                resumed=lambda: self.inbox.put_now(Resumed()),
            )
        self.inbox = Inbox()
        self.metrics = Metrics()
        self.tenure = Tenure(clock)
        self.decisions = Decisions(clock)
        self._repeats = Repeats(clock)
        pod_reader = PodReader(settings.request_defaults(config), self.metrics, self._repeats)
        self._outlets = Outlets(
            config,
            surroundings,
            digests,
            self.lead,
            gate=self._gate,
            term=lambda: self.core.state.term,
            decode_pod=pod_reader.read,
            report=self.inbox.put_now,
            metrics=self.metrics,
        )
        self._watchdog = Watchdog(notifier, self._leadership, clock)
        self.sources = Sources(
            self._outlets,
            pod_reader,
            self.inbox,
            surroundings,
            framework_id=framework_id,
            readiness=self.readiness,
            metrics=self.metrics,
            repeats=self._repeats,
            overtaken=self.lead.was_overtaken,
        )
        self.runner = Runner(
            self.core.step,
            self._execute,
            inbox=self.inbox,
            decisions=self.decisions,
            metrics=self.metrics,
            clock=clock,
            is_placing=self.core.is_placing,
            on_turn=self._turned,
        )
        told = self.told = Told(
            config=config,
            hostname=surroundings.hostname,
            core=self.core,
            lead=self.lead,
            group=group,
            framework_id=framework_id,
            specs=self._specs,
            inbox=self.inbox,
            readiness=self.readiness,
            metrics=self.metrics,
            decisions=self.decisions,
            tenure=self.tenure,
            clock=clock,
            is_alive=lambda: clock.monotonic() - self.runner.turned_at < ALIVE_S,
            url=lambda: self.web.url,
        )
        self.reach: Reach | None = None
        if group is not None and hand_over is not None:
            self.reach = Reach(
                group,
                probe=self._outlets.mesos_operator.reach_leader,
                reasons=self.readiness.reasons_of_upstreams,
                hand_over=hand_over,
                clock=clock,
                rng=surroundings.rng,
            )
        views = told.views()
        routes = [web_page.route(views), *web_routes.routes(views), web_peers.leader_route(told.leader, told.is_leader)]
        if group is not None:
            routes.append(web_peers.deadman_route(group.hello, group.ending))
        if hand_over is not None:
            routes += web_acts.routes(web_acts.Acts(hand_over, told.is_leading, told.leader))
        self.web = Web(
            routes,
            config.address,
            config.port,
            access=Access(config.http),
            profiling=config.profiling,
            listening=listening,
        )

    async def run(self) -> None:
        """Until cancelled; what ends a part ends all, as an ExceptionGroup."""
        if not self._is_replacement:
            await self.begin()
            self._notifier.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outlets.run())
            group.create_task(self.runner.run())
            group.create_task(self._tell_status())
            if self._group is not None:
                group.create_task(self._group.run())
            if self.reach is not None:
                group.create_task(self.reach.run())
            self.inbox.put_now(await self._specs.open())
            group.create_task(self._follow_specs())
            await await_access(
                self._outlets.kube,
                origin=f"--kubeconfig {self._config.kubeconfig or '(none)'}",
                readiness=self.readiness,
                repeats=self._repeats,
                clock=self._clock,
                rng=self._surroundings.rng,
            )
            self.sources.start(group)
            group.create_task(tell_findings(self._config, self._surroundings))
            if self._config.registers_all:
                promised = self.core.promised_nodes
                group.create_task(keep_promises(self._outlets.kube, promised, self._repeats, self._clock))
            if self._config.scheduler_name == DEFAULT_SCHEDULER_NAME:
                name = self._config.scheduler_name
                group.create_task(watch_for_rival(self._outlets.kube, name, self.readiness.found_rival, self._clock))

    async def reload(self) -> list[str]:
        """Read tokens, secrets and certificates anew; why what was there before stays."""
        return [*self.web.access.reload(), *await self._outlets.reload()]

    async def begin(self) -> None:
        """Answer at our socket, and lead as soon as this process may."""
        await self.web.start()
        log.info("listening on %s", self.web.url)
        if self._group is not None:
            self._group.may_stand.set()
        elif self._is_replacement:
            await self._framework_id.load()
            self.lead.lead_on()

    async def subscribed(self) -> int:
        """The term, once Mesos has subscribed this process."""
        await self._is_subscribed.wait()
        return self.core.state.term

    def reasons_not_warm(self) -> list[str]:
        """Why this process could not lead at once."""
        found = [] if self._synced.is_set() else ["pods and nodes are not known yet"]
        of_group = [] if self._group is None else self._group.reasons_of_fingerprint()
        return [*found, *self.readiness.reasons_of_copies(), *of_group]

    @property
    def fingerprint(self) -> str:
        """Of the executors that this process would launch."""
        return self._specs.ours

    async def close(self) -> None:
        await self.web.stop()
        await self._outlets.close()

    async def _follow_specs(self) -> None:
        async for learned in self._specs.news():
            await self.inbox.put(learned)

    async def _next_term(self) -> int:
        return await next_term(self._store, above=self.core.highest_term())

    async def _gate(self) -> str | None:
        """Before each SUBSCRIBE: the cache is whole, lead and term are ours, and the framework id is not forgotten."""
        await self._synced.wait()
        term = await self.lead.term()
        if self.core.state.term != term:
            if self._group is not None:
                await self._group.led()
                await self._framework_id.load()
            self.core.state.term = term
            self.tenure.began(term)
            log.info("leading in term %d, framework id %s", term, self._framework_id.value or "none yet")
        if self._framework_id.value is None:
            self._framework_id.require_if_bound(self.core.bound_pods())
        await self.lead.confirm()
        return self._framework_id.value

    async def settle(self, limit_s: float) -> None:
        """Until every call with an effect that was sent is answered, `limit_s` at most."""
        await self._outlets.settle(limit_s)

    def _execute(self, effect: Effect) -> None:
        if isinstance(effect, AcceptOffers):
            self._measure_waits(effect)
            self.tenure.reached(FIRST_ACCEPT)
        self._outlets.execute(effect)

    def _measure_waits(self, effect: AcceptOffers) -> None:
        now = self._clock.wall()
        for launch in effect.launches:
            created_s = self.core.created_s(launch.pod_uid)
            if launch.mode == "bind" and created_s is not None:
                self.metrics.queue_wait.observe(max(0.0, now - created_s) * MICROSECONDS)

    def _measure_link(self, link: Link) -> None:
        if link is Link.RECONCILING:
            self._subscribed_at = self._clock.monotonic()
            self.tenure.reached(SUBSCRIBED)
        elif link is Link.ACTIVE:
            took_s = self._clock.monotonic() - self._subscribed_at
            self.metrics.lead.reconciliation_latency.observe(took_s * MICROSECONDS)
            self.tenure.reached(RECONCILED)

    def _turned(self) -> None:
        if self.core.is_synced and not self._synced.is_set():
            self._synced.set()
            self._describe()
        if (link := self.core.state.link) is not self._linked:
            self._linked = link
            self.lead.tell(FACTS[link])
            self._measure_link(link)
            self._is_subscribed.clear() if link is Link.DISCONNECTED else self._is_subscribed.set()
        self._watchdog.turned()

    def _leadership(self) -> Leadership:
        return Leadership() if self._group is None else self._group.election.leadership

    def _describe(self) -> None:
        if self._group is not None:
            self._group.election.describe(is_synced=not self.readiness.reasons_of_copies())

    async def _tell_status(self) -> None:
        told = ""
        while True:
            self._describe()
            words = self.told.status_line()
            if words != told:
                told = words
                self._notifier.status(words)
            await self._clock.sleep(STATUS_S)
