"""The ways out of a scheduler: each effect goes to the client of Mesos or Kubernetes that carries it out.

Knows the two clients behind the fence, and what a launch is to Mesos.  It does not know when anything may go out: that
is the fence's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from weakref import WeakSet

from kmsched import fingerprint
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Transport
from kmsched.clients.kube import Json, KubeClient
from kmsched.clients.mesos import Credentials, Gate, MesosScheduler
from kmsched.clients.mesos_access import mesos_tls
from kmsched.clients.mesos_operator import MesosOperator
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.config import SchedulerConfig
from kmsched.core.effects import AcceptOffers, AdoptPod, BindPod, Effect, RegisterNode, RemoveNode, ReportPod
from kmsched.core.events import Event
from kmsched.daemon import settings
from kmsched.daemon.fencing import Fence, FencedTransport
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.pod_events import PodEvents
from kmsched.daemon.preflight import look
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.to_kube import DecodePod, ToKube
from kmsched.daemon.to_mesos import ToMesos
from kmsched.errors import ConfigRefused, Forbidden, Unavailable
from kmsched.wire import mesos_calls
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos_calls import Call
from kmsched.wire.offers import executor_info_of, task_info

log = logging.getLogger(__name__)

#: for a look at the leading master, which another may have to follow
PROBE_DEADLINE_S = 3.0


class Outlets:
    """`execute` takes effects while `run` runs. `report` is told how each ended, `gate` is asked before a SUBSCRIBE."""

    def __init__(
        self,
        config: SchedulerConfig,
        surroundings: Surroundings,
        digests: Mapping[str, str],
        fence: Fence,
        *,
        gate: Gate,
        term: Callable[[], int],
        decode_pod: DecodePod,
        report: Callable[[Event], None],
        metrics: Metrics,
    ) -> None:
        clock, rng = surroundings.clock, surroundings.rng
        self._config = config
        self._surroundings = surroundings
        self._digests = digests
        self._fence = fence
        self._term = term
        self._decode_pod = decode_pod
        self._report = report
        self._metrics = metrics
        self._executor_infos: dict[str, Json] = {}
        self._transports: WeakSet[FencedTransport] = WeakSet()
        self.kube = KubeClient(settings.kube_access(config), make_transport=self._fenced, clock=clock)
        self._mesos_tls = mesos_tls(config)
        self._to_masters = RenewedTransport(surroundings.make_transport(self._mesos_tls))
        self._mesos_transport = self._fence_in(self._to_masters)
        credentials = self._credentials = settings.credentials(config)
        self.mesos_operator = self._operator(credentials)
        self.mesos = MesosScheduler(
            config.mesos_masters,
            settings.framework_info(config, surroundings.hostname),
            gate,
            transport=self._mesos_transport,
            clock=clock,
            rng=rng,
            credentials=credentials,
        )
        self._to_mesos = ToMesos(
            self.mesos,
            self._accept,
            report=report,
            metrics=metrics,
            clock=clock,
            rng=rng,
            hot_settings=config.hot_settings,
        )
        self._pod_events = PodEvents(self.kube, config.scheduler_name, clock)
        self._to_kube: ToKube | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._to_kube = ToKube(
                self.kube,
                self._decode_pod,
                spawn=group.create_task,
                report=self._report,
                metrics=self._metrics,
                clock=self._surroundings.clock,
            )
            group.create_task(self._to_mesos.run())
            group.create_task(self._pod_events.run())

    def execute(self, effect: Effect) -> None:
        match effect:
            case BindPod() | AdoptPod():
                assert self._to_kube is not None
                self._to_kube.put(effect)
            case RegisterNode() | RemoveNode():
                assert self._to_kube is not None
                self._to_kube.put_node(effect)
            case ReportPod():
                self._pod_events.put(effect)
            case _:
                self._to_mesos.put(effect)

    async def settle(self, limit_s: float) -> None:
        """Until every call with an effect that was sent is answered, `limit_s` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*(each.settled() for each in self._transports))

    async def close(self) -> None:
        await self.kube.close()
        await self._mesos_transport.close()

    async def reload(self) -> list[str]:
        """Read what Mesos and Kubernetes ask for anew; why what was there before stays, one line for each."""
        kept = [self._renew_certificates(), await self._renew_secret(), await self._renew_kubeconfig()]
        return [words for words in kept if words]

    def _renew_certificates(self) -> str:
        try:
            self._to_masters.renew(self._surroundings.make_transport(self._mesos_tls))
        except ConfigRefused as error:
            return f"the certificates for Mesos stay as they were: {error}"
        return ""

    async def _renew_secret(self) -> str:
        """A leader must not lose its subscription by a secret that Mesos does not take."""
        try:
            fresh = settings.credentials(self._config)
        except ConfigRefused as error:
            return f"the secret for Mesos stays as it was: {error}"
        if fresh is None or fresh == self._credentials:
            return ""
        refusal = await _refusal_of(self._operator(fresh))
        # a subscription that stands was made with the old one
        if refusal and (self.mesos.subscription is not None or not await _refusal_of(self.mesos_operator)):
            return f"the secret for Mesos stays as it was: the new one is not taken: {refusal}"
        self._credentials = fresh
        for client in (self.mesos, self.mesos_operator):
            client.renew(fresh)
        log.info("another secret for Mesos is shown from now on, for the principal %s", fresh.principal)
        return ""

    async def _renew_kubeconfig(self) -> str:
        path = self._config.kubeconfig
        if path is None:
            return ""
        try:
            access = settings.kube_access(self._config)
            await self.kube.renew(access, look)
        except ConfigRefused as error:
            return f"certificates and token for Kubernetes stay as they were: {error}"
        log.info("%s is read anew: %s", path, access.shown())
        return ""

    def _operator(self, credentials: Credentials | None) -> MesosOperator:
        masters = self._config.mesos_masters
        return MesosOperator(
            masters, transport=self._mesos_transport, credentials=credentials, deadline_s=PROBE_DEADLINE_S
        )

    def _fenced(self, tls: TlsSettings) -> FencedTransport:
        return self._fence_in(self._surroundings.make_transport(tls))

    def _fence_in(self, transport: Transport) -> FencedTransport:
        fenced = FencedTransport(transport, self._fence)
        self._transports.add(fenced)
        return fenced

    def _accept(self, effect: AcceptOffers, framework_id: str) -> Call:
        if framework_id not in self._executor_infos:
            made = fingerprint.executor_info(self._config, self._digests, framework_id)
            self._executor_infos = {framework_id: made}
        executor = executor_info_of(self._executor_infos[framework_id], effect.executor_id, effect.flavour)
        hot = HotSettings(settings_version=self._term(), settings=dict(self._config.hot_settings))
        tasks = [task_info(launch, effect.agent_id, effect.role, executor, hot) for launch in effect.launches]
        return mesos_calls.accept(effect.offer_ids, tasks, refuse_s=effect.refuse_s)


async def _refusal_of(operator: MesosOperator) -> str:
    """Why the leading master does not let us in, or ""."""
    try:
        await operator.reach_leader()
    except (Unavailable, Forbidden) as error:
        return str(error)
    return ""
