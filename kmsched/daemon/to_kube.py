"""Effects on pods: in order for each pod, side by side for different pods, each told to the core how it ended.

Knows what an answer of the API server says about the write.  After a refusal the pod is read first, so that the core
decides on what is there.  What becomes of Nodes is told by their watch.  It tries nothing again by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine

from kmsched.clients import kube_nodes, kube_pods
from kmsched.clients.kube import Json, KubeClient
from kmsched.clock import Clock
from kmsched.core.effects import AdoptPod, BindPod, RegisterNode, RemoveNode
from kmsched.core.events import (
    AdoptFailed,
    AdoptRefused,
    BindFailed,
    BindRefused,
    Event,
    PodAdopted,
    PodBound,
    PodChanged,
    PodDeleted,
)
from kmsched.core.model import TASK_ID_ANNOTATION, Pod
from kmsched.daemon.metrics import Metrics
from kmsched.errors import Conflict, Invalid, KmError, NotFound

log = logging.getLogger(__name__)

MAX_CALLS_AT_ONCE = 32
MAX_WAITING = 20_000

PodWrite = BindPod | AdoptPod
NodeWrite = RegisterNode | RemoveNode
DecodePod = Callable[[Json], Pod]


class ToKube:
    """`put` never waits; the writes run in tasks of their own, made by `spawn`."""

    def __init__(
        self,
        kube: KubeClient,
        decode: DecodePod,
        *,
        spawn: Callable[[Coroutine[None, None, None]], object],
        report: Callable[[Event], None],
        metrics: Metrics,
        clock: Clock,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._kube = kube
        self._decode = decode
        self._spawn = spawn
        self._report = report
        self._metrics = metrics
        self._clock = clock
        self._max_waiting = max_waiting
        self._room = asyncio.Semaphore(MAX_CALLS_AT_ONCE)
        self._of_pod: dict[str, deque[PodWrite]] = {}
        self._waiting = 0

    def put(self, effect: PodWrite) -> None:
        if self._waiting >= self._max_waiting:
            self._failed(effect, KmError(f"{self._waiting} writes to Kubernetes wait already"))
            return
        self._waiting += 1
        if effect.key in self._of_pod:
            self._of_pod[effect.key].append(effect)
            return
        self._of_pod[effect.key] = deque([effect])
        self._spawn(self._work_off(effect.key))

    def put_node(self, effect: NodeWrite) -> None:
        if self._waiting >= self._max_waiting:
            log.warning("%s of Node %s is left out: %d writes wait", type(effect).__name__, effect.name, self._waiting)
            return
        self._waiting += 1
        self._spawn(self._write_node(effect))

    async def _write_node(self, effect: NodeWrite) -> None:
        kind = type(effect).__name__
        async with self._room:
            try:
                if isinstance(effect, RegisterNode):
                    await self._register(effect)
                elif await kube_nodes.has_pods(self._kube, effect.name):
                    log.info("Node %s stays: pods are bound to it", effect.name)
                else:
                    await self._remove(effect)
            except (Conflict, NotFound) as error:
                log.info("%s of Node %s was refused: %s", kind, effect.name, error)
            except KmError as error:
                self._metrics.failed(effect, error)
                log.warning("%s of Node %s failed: %s", kind, effect.name, error)
            finally:
                self._waiting -= 1

    async def _register(self, effect: RegisterNode) -> None:
        await kube_nodes.create_node(
            self._kube,
            effect.name,
            agent_id=effect.agent_id,
            framework_id=effect.framework_id,
            labels=effect.labels,
        )

    async def _remove(self, effect: RemoveNode) -> None:
        await kube_nodes.delete_node(self._kube, effect.name, uid=effect.uid, resource_version=effect.resource_version)

    async def _work_off(self, key: str) -> None:
        effects = self._of_pod[key]
        while effects:
            async with self._room:
                try:
                    await self._write(effects[0])
                except KmError as error:
                    self._failed(effects[0], error)
                finally:
                    effects.popleft()
                    self._waiting -= 1
        del self._of_pod[key]

    async def _write(self, effect: PodWrite) -> None:
        """Write, and report how it ended; KmError: whether it happened is not known."""
        started = self._clock.monotonic()
        try:
            done = await (self._bind(effect) if isinstance(effect, BindPod) else self._adopt(effect))
        except (Conflict, NotFound, Invalid) as error:
            await self._refused(effect, error)
            return
        if isinstance(effect, BindPod):
            self._metrics.binding_s.observe(self._clock.monotonic() - started)
        self._report(done)

    async def _bind(self, effect: BindPod) -> Event:
        namespace, _, name = effect.key.partition("/")
        await kube_pods.bind(
            self._kube,
            namespace,
            name,
            uid=effect.uid,
            resource_version=effect.resource_version or None,
            node_name=effect.node_name,
            annotations=dict(effect.annotations),
        )
        return PodBound(effect.key, effect.uid, effect.task_id)

    async def _adopt(self, effect: AdoptPod) -> Event:
        namespace, _, name = effect.key.partition("/")
        await kube_pods.patch_pod_annotations(
            self._kube,
            namespace,
            name,
            uid=effect.uid,
            resource_version=effect.resource_version or None,
            annotations=dict(effect.annotations),
            test_annotation=(TASK_ID_ANNOTATION, effect.old_task_id) if effect.old_task_id else None,
        )
        return PodAdopted(effect.key, effect.uid, effect.task_id)

    async def _refused(self, effect: PodWrite, error: KmError) -> None:
        self._metrics.failed(effect, error)
        log.info("%s of pod %s was refused: %s", type(effect).__name__, effect.key, error)
        pod = await self._read(effect.key)
        if pod is None or pod.uid != effect.uid:
            self._report(PodDeleted(effect.key, effect.uid))
        if pod is not None:
            self._report(PodChanged(pod))
        # an earlier write whose answer was lost may be what stands there
        is_ours = pod is not None and pod.uid == effect.uid and pod.task_id == effect.task_id
        outcome: Event
        if isinstance(effect, BindPod):
            is_ours = is_ours and pod is not None and pod.node_name == effect.node_name
            outcome = (
                PodBound(effect.key, effect.uid, effect.task_id, pod.resource_version)
                if is_ours and pod is not None
                else BindRefused(effect.key, effect.uid, effect.task_id, str(error))
            )
        elif is_ours:
            outcome = PodAdopted(effect.key, effect.uid, effect.task_id)
        else:
            outcome = AdoptRefused(effect.key, effect.uid, effect.task_id, str(error))
        self._report(outcome)

    async def _read(self, key: str) -> Pod | None:
        namespace, _, name = key.partition("/")
        try:
            return self._decode(await kube_pods.read_pod(self._kube, namespace, name))
        except NotFound:
            return None

    def _failed(self, effect: PodWrite, error: KmError) -> None:
        self._metrics.failed(effect, error)
        log.warning("%s of pod %s: whether it was done is not known: %s", type(effect).__name__, effect.key, error)
        failed = BindFailed if isinstance(effect, BindPod) else AdoptFailed
        self._report(failed(effect.key, effect.uid, effect.task_id, str(error)))
