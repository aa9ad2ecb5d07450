"""`km executor`: one queue of events, one consumer that steps the core, effects carried out in order.

Wires the agent's link, the Node's shell, the clock and signals together.  It decides nothing: `executor.core` does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.fetch import read_uri
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.http import Transport
from kmsched.clients.kube import KubeClient, load_access
from kmsched.clients.mesos_executor import MesosExecutorApi
from kmsched.clock import Clock, SystemClock
from kmsched.errors import EXIT_INTERNAL, ConfigRefused, KmError
from kmsched.executor import core, hot, node
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.agent import AgentLink
from kmsched.executor.children import Children
from kmsched.executor.environment import MesosEnvironment, read_environment
from kmsched.executor.fetching import Fetching
from kmsched.executor.programs import Programs, Read
from kmsched.executor.proxy import Ask, ask_kernel
from kmsched.executor.settings import ExecutorSettings
from kmsched.executor.state import State, unacknowledged_tasks
from kmsched.wire import hotsettings

TICK_S = 1.0
#: events that wait to be taken in; producers that find it full are ahead of a consumer that is stuck
MAX_EVENTS = 100_000
SEED_BYTES = 16
#: who to be in HDFS
HADOOP_USER = "HADOOP_USER_NAME"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run takes from outside; tests and the simulator pass their own."""

    clock: Clock
    rng: Random
    #: a transport with these certificates; None: plain HTTP
    make_transport: Callable[[TlsSettings | None], Transport]
    seed: bytes
    read: Read
    ask_kernel: Ask


def real_parts(environ: Mapping[str, str]) -> Parts:
    """Hadoop's configuration is read when something is fetched: a broken one is told with the tasks that need it."""

    def read(uri: str) -> Iterator[bytes]:
        return read_uri(uri, load_hadoop_conf(environ), user=environ.get(HADOOP_USER))

    return Parts(SystemClock(), Random(), AiohttpTransport, os.urandom(SEED_BYTES), read, ask_kernel)


def run_executor(settings: ExecutorSettings, environ: Mapping[str, str]) -> int:
    """`execute` with the real clock and network, in a loop of its own."""
    return asyncio.run(execute(settings, environ, real_parts(environ)))


async def execute(settings: ExecutorSettings, environ: Mapping[str, str], parts: Parts) -> int:
    """Until the agent, idleness or a defect ends it; the exit code.

    ConfigRefused: the environment is not that of a Mesos executor.  What is wrong on the host is told to Mesos with
    the tasks that fail by it.
    """
    return await _Executor(settings, read_environment(environ), parts).run()


class _Executor:
    def __init__(self, settings: ExecutorSettings, mesos: MesosEnvironment, parts: Parts) -> None:
        self._settings = settings
        self._mesos = mesos
        self._parts = parts
        self._state = State(parts.seed, settings.launch_grace_s, settings.idle_timeout_s)
        self._events: asyncio.Queue[ev.Event] = asyncio.Queue(MAX_EVENTS)
        self._jobs: set[asyncio.Task[None]] = set()
        self._children: Children | None = None
        self._around: node.Surroundings | None = None
        self._link: AgentLink | None = None
        self._exit: do.Exit | None = None
        self._defect: BaseException | None = None

    async def run(self) -> int:
        parts, mesos = self._parts, self._mesos
        async with AsyncExitStack() as stack:
            transport = parts.make_transport(mesos.agent_tls)
            stack.push_async_callback(transport.close)
            stack.push_async_callback(self._clean_up)
            api = MesosExecutorApi(mesos.agent_url, mesos.framework_id, mesos.executor_id, transport, mesos.token)
            self._link = AgentLink(
                api,
                clock=parts.clock,
                recovery_s=mesos.recovery_s,
                pause_max_s=mesos.pause_max_s,
                tell=self.tell,
                unacknowledged=lambda: (unacknowledged_tasks(self._state), list(self._state.updates)),
            )
            self._look_around(transport, stack)
            self._on_sigterm(stack)
            self._start(self._link.run(), "the agent's link")
            self._start(self._tick(), "the clock")
            await self._consume()
        if self._defect is not None:
            log.error("internal error, containers run on", exc_info=self._defect)
            return EXIT_INTERNAL
        assert self._exit is not None
        return self._exit.code

    def tell(self, event: ev.Event) -> None:
        self._events.put_nowait(event)

    def _look_around(self, transport: Transport, stack: AsyncExitStack) -> None:
        """A credential that cannot work is told to Mesos with the tasks, so it must not end the process here."""
        parts = self._parts
        try:
            access = load_access(str(self._settings.kubelet_kubeconfig), self._settings.api_servers)
            kube = KubeClient(access, make_transport=parts.make_transport, clock=parts.clock)
        except ConfigRefused as error:
            self.tell(ev.KubeletRefused(str(error)))
            return
        stack.push_async_callback(kube.close)
        programs = Programs(self._settings.artifacts_dir, parts.read, parts.clock.wall)
        fetching = Fetching(programs, self._mesos.sandbox, parts.clock, parts.rng)
        self._around = around = node.Surroundings(
            self._settings, self._mesos, access, kube, transport, fetching, parts.clock, parts.rng, self.tell
        )
        self._children = Children(around, self._start, parts.ask_kernel)

    def _on_sigterm(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.tell, ev.ShutdownRequested())
        stack.callback(loop.remove_signal_handler, signal.SIGTERM)

    async def _tick(self) -> None:
        while True:
            await self._parts.clock.sleep(TICK_S)
            self.tell(ev.Ticked())

    async def _consume(self) -> None:
        while self._exit is None and self._defect is None:
            event = await self._events.get()
            if not isinstance(event, ev.Ticked):
                log.debug("event %s", event)
            for effect in core.step(self._state, event, self._parts.clock.monotonic()):
                log.info("%s", _words(effect))
                await self._carry_out(effect)

    async def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.SendUpdate():
                assert self._link is not None
                self._link.post(effect)
            case do.StartKubelet():
                self._start_node(effect)
            case do.RestartKubelet():
                if self._children is not None:
                    self._start(self._children.restart_kubelet(), "kubelet's restart")
            case do.StopKubelet():
                if self._children is not None:
                    await self._children.stop()
            case do.DeletePod():
                if self._around is not None:
                    self._start(node.delete(self._around, effect), "a deletion")
            case do.IgnoreKill():
                pass  # the line in the log is all
            case do.SetLogLevel():
                hot.set_log_level(effect.level)
            case do.ConfirmSettings():
                assert self._link is not None
                self._link.say(hotsettings.confirm(effect.version))
            case do.Exit():
                self._exit = effect

    def _start_node(self, effect: do.StartKubelet) -> None:
        around, children = self._around, self._children
        if around is None or children is None:
            return
        node_name = effect.hostname.lower()
        self._start(self._watch(node.watch_pods(around, node_name)), "the watch of pods")
        self._start(self._watch(node.watch_node(around, node_name)), "the watch of the Node")
        self._start(children.run(effect), "kubelet")

    async def _watch(self, watch: Coroutine[Any, Any, None]) -> None:
        """A credential that stops working for good refuses the node."""
        try:
            await watch
        except KmError as error:
            self.tell(ev.KubeletRefused(str(error)))

    def _start(self, job: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(job, name=name)
        self._jobs.add(task)
        task.add_done_callback(self._job_ended)

    def _job_ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._defect is None:
            log.error("%s failed", task.get_name())
            self._defect = error
            self.tell(ev.Ticked())  # wakes the consumer

    async def _clean_up(self) -> None:
        """The children first and in order; then whatever else still runs."""
        if self._children is not None:
            await self._children.stop()
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if self._children is not None:
            self._children.release()


def _words(effect: do.Effect) -> str:
    """The one line that tells of a decision."""
    match effect:
        case do.SendUpdate():
            return f"task {effect.task_id} is {effect.state.value}: {effect.message}"
        case do.DeletePod():
            return f"delete pod {effect.key} uid={effect.uid} grace_s={effect.grace_s}: {effect.reason}"
        case do.IgnoreKill():
            return f"task {effect.task_id} is not killed: {effect.reason}"
        case do.SetLogLevel():
            return f"log level {effect.level}: {effect.reason}"
        case do.ConfirmSettings():
            return f"settings {effect.version} in force: {effect.reason}"
        case do.Exit():
            return f"exit {effect.code}: {effect.reason}"
        case _:
            return f"{type(effect).__name__}: {effect.reason}"
