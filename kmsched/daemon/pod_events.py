"""What people read with `kubectl describe pod`: ReportPod effects as Events of the Kubernetes API.

Knows how repeated news becomes one Event with a count: the same cause of the same pod, in whatever words.  Causes of a
pod beyond the first few share one Event, and the rate is bounded.  Events are a courtesy: one that cannot be written is
dropped, and the scheduling of pods never waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict

from kmsched.clients import kube_pods
from kmsched.clients.kube import KubeClient
from kmsched.clock import Clock
from kmsched.core.effects import ReportPod
from kmsched.errors import Conflict, KmError, NotFound

log = logging.getLogger(__name__)

MAX_WAITING = 5_000
MAX_REMEMBERED = 20_000
#: pause between two writes: at most 20 a second
WRITE_PAUSE_S = 0.05
#: causes of one pod and topic that have Events of their own; all others share one
MAX_CAUSES = 10
OTHERS = "other causes"
#: the same news of the same pod is written again after this at the earliest
REPEAT_S = 30.0
MAX_MESSAGE_CHARS = 1024
NAME_CHARS = 230

Key = tuple[str, str, str]  # pod uid, topic, what it is about


class PodEvents:
    """`put` never waits; `run` writes until cancelled."""

    def __init__(self, kube: KubeClient, component: str, clock: Clock) -> None:
        self._kube = kube
        self._component = component
        self._clock = clock
        self._waiting: OrderedDict[Key, ReportPod] = OrderedDict()
        self._has_work = asyncio.Event()
        #: how often it happened, and when it was last written (monotonic seconds)
        self._written: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        #: pod uid and topic -> what its Events are about
        self._causes: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
        self._is_failing = False

    def put(self, effect: ReportPod) -> None:
        key = self._key(effect)
        count, written_at = self._written.get(key, (0, 0.0))
        if count:
            self._remember(key, count + 1, written_at)
            if self._clock.monotonic() - written_at < REPEAT_S:
                return
        self._waiting[key] = effect
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
        self._has_work.set()

    async def run(self) -> None:
        while True:
            await self.write_next()
            await self._clock.sleep(WRITE_PAUSE_S)

    async def write_next(self) -> None:
        await self._has_work.wait()
        key, effect = self._waiting.popitem(last=False)
        if not self._waiting:
            self._has_work.clear()
        count = max(1, self._written.get(key, (0, 0.0))[0])
        self._remember(key, count, self._clock.monotonic())
        try:
            await self._write(key, effect, count)
        except KmError as error:
            if not self._is_failing:
                log.warning("events on pods cannot be written: %s; more of this is not logged", error)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("events on pods are written again")
            self._is_failing = False

    def _key(self, effect: ReportPod) -> Key:
        pod, about = (effect.uid, effect.topic), effect.about or effect.message
        known = self._causes.setdefault(pod, [])
        self._causes.move_to_end(pod)
        if len(self._causes) > MAX_REMEMBERED:
            self._causes.popitem(last=False)
        if about not in known:
            if len(known) >= MAX_CAUSES:
                return (*pod, OTHERS)
            known.append(about)
        return (*pod, about)

    async def _write(self, key: Key, effect: ReportPod, count: int) -> None:
        namespace, _, pod_name = effect.key.partition("/")
        name = event_name(pod_name, key)
        if count > 1:
            try:
                await self._repeat(namespace, name, effect.message, count)
            except NotFound:
                count = 1
            else:
                return
        try:
            await kube_pods.create_event(
                self._kube,
                name=name,
                namespace=namespace,
                involved=kube_pods.pod_reference(namespace, pod_name, effect.uid),
                type_=effect.kind,
                reason=effect.topic,
                message=effect.message[:MAX_MESSAGE_CHARS],
                component=self._component,
                now_s=self._clock.wall(),
            )
        except Conflict:
            # an earlier scheduler wrote it; its count is lost with it
            await self._repeat(namespace, name, effect.message, count + 1)

    async def _repeat(self, namespace: str, name: str, message: str, count: int) -> None:
        await kube_pods.repeat_event(
            self._kube,
            name=name,
            namespace=namespace,
            message=message[:MAX_MESSAGE_CHARS],
            count=count,
            now_s=self._clock.wall(),
        )

    def _remember(self, key: Key, count: int, written_at: float) -> None:
        self._written[key] = (count, written_at)
        self._written.move_to_end(key)
        if len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)


def event_name(pod_name: str, key: Key) -> str:
    """The same news of the same pod has the same name, whoever writes it."""
    told = "\0".join(key)
    return f"{pod_name[:NAME_CHARS]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"
