"""`km scheduler`: the parts put together, and how the process ends.

Knows the order of starting: lock, web, Kubernetes, and Mesos only when pods and nodes are known, because an empty cache
would have every task killed.  All work is in the parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from random import SystemRandom

from kmsched import __version__
from kmsched.clients.aiohttp_transport import AiohttpTransport
from kmsched.clients.fetch import read_uri
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.store import FolderStore, Store
from kmsched.clock import SystemClock
from kmsched.config import SchedulerConfig
from kmsched.core.step import step
from kmsched.daemon import respawn
from kmsched.daemon.artifacts import artifact_digests
from kmsched.daemon.group import Group
from kmsched.daemon.handover import Handover
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.respawn import Child
from kmsched.daemon.respawn_channel import Channel
from kmsched.daemon.respawn_child import Inherited, Steps, inherited, take_over, tell_failure
from kmsched.daemon.scheduler import Scheduler
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.systemd import Notifier, environment_of_replacement
from kmsched.errors import EXIT_OK, Deposed, Fatal, InternalError, KmError, NotHandedOver

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
HAND_OVER_SIGNAL = signal.SIGUSR1
RELOAD_SIGNAL = signal.SIGHUP
#: of Python's collector: it looks at all objects that there are after some ten million new ones only, since with
#: 100,000 pods a look takes as long as a lease may wait
COLLECTED_AFTER = (10_000, 20, 50)
#: to whoever asks before there is anything to hand over
HAS_NOTHING = "this process has only begun to start and leads nothing yet; it goes on starting"


def run_scheduler(config: SchedulerConfig) -> int:
    """Schedule until SIGTERM or SIGINT. Fatal errors carry the exit code."""
    gc.set_threshold(*COLLECTED_AFTER)
    replaced = inherited(os.environ)
    surroundings = Surroundings(
        clock=SystemClock(),
        rng=SystemRandom(),
        make_transport=AiohttpTransport,
        environment=os.environ,
        hostname=socket.gethostname(),
        step=step,
        read_artifact=read_artifact,
    )
    asyncio.run(until_signalled(Daemon(config, surroundings, replaced)))
    return EXIT_OK


def read_artifact(uri: str) -> Iterator[bytes]:
    """The file behind a URI, with this host's configuration of Hadoop."""
    return read_uri(uri, load_hadoop_conf(os.environ))


#: starts a replacement: environment, listening socket, descriptor of the lock
Launch = Callable[[Mapping[str, str], socket.socket, int], Awaitable[Child]]


class Daemon:
    """One scheduler process without its signals.

    `inherited`: it replaces another process, and does nothing that has an effect before it is told to.
    """

    def __init__(
        self,
        config: SchedulerConfig,
        surroundings: Surroundings,
        inherited: Inherited | None = None,
        launch: Launch | None = None,
    ) -> None:
        self._config = config
        self._surroundings = surroundings
        self._inherited = inherited
        self._launch = launch or partial(respawn.start, respawn.command_line(), clock=surroundings.clock)
        self._notifier = Notifier(surroundings.environment, os.getpid(), is_main=inherited is None)
        self._group: Group | None = None
        self._handover: Handover | None = None
        self.scheduler: Scheduler | None = None

    async def run(self) -> None:
        """Until cancelled, or until another process has taken our place; Fatal says why it cannot go on."""
        if self._inherited is None:
            await self._run(None)
            return
        with contextlib.closing(self._inherited.channel()) as channel:
            await channel.open()
            try:
                await self._run(channel)
            except KmError as error:
                await tell_failure(channel, error)
                raise

    async def _run(self, channel: Channel | None) -> None:
        config, surroundings = self._config, self._surroundings
        lock_fd = None if self._inherited is None else self._inherited.lock_fd
        with contextlib.closing(FolderStore(config.state_dir, lock_fd)) as folder:
            if config.ha is None:
                await self._schedule(folder, folder, str(config.state_dir), None, channel)
                return
            home = f"{surroundings.hostname}:{config.state_dir}"
            self._group = group = Group(
                config.ha, config.framework_name, surroundings, home, folder.lock_id, config.http.ca_file
            )
            if channel is not None:
                group.may_stand.clear()
            try:
                await group.await_etcd(self._tell_waiting)
                await self._schedule(folder, group.store, f"etcd under {group.keys.prefix}", group, channel)
            finally:
                await group.close()

    async def _schedule(
        self, folder: FolderStore, store: Store, where: str, group: Group | None, channel: Channel | None
    ) -> None:
        config, surroundings = self._config, self._surroundings
        framework_id = FrameworkId(store, config.framework_name, where)
        await framework_id.load()
        digests = await artifact_digests(config, store, surroundings.read_artifact)
        log.info("km scheduler %s, framework id %s", __version__, framework_id.value or "none yet")
        listening = None if self._inherited is None else self._inherited.listening()
        self.scheduler = scheduler = Scheduler(
            config, surroundings, store, framework_id, self._notifier, digests, group, self.hand_over, listening
        )
        self._handover = handover = Handover(
            scheduler,
            group,
            self._notifier,
            partial(self._start_replacement, folder),
            limit_s=config.handover_timeout_s,
            clock=surroundings.clock,
        )
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(scheduler.run())
                parts.create_task(_until_replaced(handover))
                if channel is not None:
                    parts.create_task(self._take_over(channel, scheduler, folder))
        except BaseExceptionGroup as errors:
            if not handover.replaced.is_set():
                raise cause_of(errors) from errors
            log.info("another process has taken the place of this one, which ends; tasks and pods run on")
        finally:
            self._notifier.stopping()
            if group is not None:
                await group.leave("this process ends")
            await scheduler.close()

    async def _take_over(self, channel: Channel, scheduler: Scheduler, folder: FolderStore) -> None:
        async def begin() -> None:
            folder.own()
            await scheduler.begin()

        def alone() -> None:
            self._notifier.is_main = True
            self._notifier.ready()
            self._notifier.alive()
            log.info("this process, %d, has taken the place of the other", os.getpid())

        steps = Steps(
            reasons_not_warm=scheduler.reasons_not_warm,
            fingerprint=scheduler.fingerprint,
            begin=begin,
            subscribed=scheduler.subscribed,
            alone=alone,
        )
        await take_over(channel, steps, __version__, self._surroundings.clock)

    async def hand_over(self, reason: str, to: str | None = None) -> str:
        """Give the lead to the standby `to`, or to any that can take it at once, or, if there is none, to a new process
        in this one's place; who that is, in words.

        `run` ends soon after. NotHandedOver: the message says why, and this process leads on, if it did.
        """
        if self._handover is None:
            log.warning("%s: nothing is done: %s", reason, HAS_NOTHING)
            raise NotHandedOver(HAS_NOTHING)
        return await self._handover.to(reason, to)

    async def reload(self) -> None:
        """Read tokens, passwords and certificates anew; those that cannot be used stay as they were."""
        if self.scheduler is None and self._group is None:
            log.info("this process has only begun to start, and reads all files by itself")
            return
        kept = [] if self.scheduler is None else await self.scheduler.reload()
        kept += [] if self._group is None else await self._group.reload()
        for words in kept:
            log.error("%s", words)
        if not kept:
            log.info("tokens, passwords and certificates are read anew")

    async def end(self, reason: str) -> None:
        """Before this process ends anyway: what was sent is answered, and peers need not wait for a lease."""
        if self._handover is None:
            log.info("%s: this process had only begun to start and led nothing", reason)
        else:
            await self._handover.abandon()
            if self._group is not None:
                await self._handover.let_go(self._group, reason)

    async def _start_replacement(self, folder: FolderStore, listening: socket.socket) -> Child:
        environment = environment_of_replacement(self._surroundings.environment, os.getpid())
        return await self._launch(environment, listening, folder.lock_fd)

    def _tell_waiting(self, reason: str) -> None:
        self._notifier.status(f"waiting for etcd: {reason}")
        log.warning("etcd cannot be used yet: %s; trying on", reason)


def cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that ended the parts: a Fatal one if there is one, else a defect of ours."""
    leaves = list(_leaves(group))
    fatal = next((each for each in leaves if isinstance(each, Fatal)), None)
    if fatal is not None:
        return fatal
    first = leaves[0]
    if not isinstance(first, Exception):
        return first
    log.error("a part of the scheduler failed", exc_info=first)
    return InternalError(f"a part of the scheduler failed: {type(first).__name__}: {first}; the log has the traceback")


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


async def _until_replaced(handover: Handover) -> None:
    await handover.replaced.wait()
    raise Deposed("another process has taken the place of this one")


async def until_signalled(daemon: Daemon) -> None:
    """Run until one of `STOP_SIGNALS` comes. Nothing is torn down: tasks and pods run on.

    HAND_OVER_SIGNAL gives the lead to a standby that can take it (Deposed), or to a replacement.  RELOAD_SIGNAL has
    tokens, passwords and certificates read anew.
    """
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(daemon.run())
    stopped_by: list[signal.Signals] = []
    asked: set[asyncio.Task[None]] = set()

    async def stop(number: signal.Signals) -> None:
        stopped_by.append(number)
        try:
            if len(stopped_by) == 1:
                await daemon.end(f"ended by {number.name}")
        finally:
            running.cancel()

    async def hand_over() -> None:
        # the log has the reason
        with contextlib.suppress(NotHandedOver):
            await daemon.hand_over(HAND_OVER_SIGNAL.name)

    def ask(answer: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answer)
        asked.add(task)
        task.add_done_callback(asked.discard)

    def ask_to_stop(number: signal.Signals) -> None:
        ask(stop(number))

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, ask_to_stop, number)
    loop.add_signal_handler(HAND_OVER_SIGNAL, lambda: ask(hand_over()))
    loop.add_signal_handler(RELOAD_SIGNAL, lambda: ask(daemon.reload()))
    # a replacement is started with them blocked, as they would have ended it before
    signal.pthread_sigmask(signal.SIG_UNBLOCK, respawn.BLOCKED)
    try:
        await running
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        log.info("ended by %s; tasks and pods run on", stopped_by[0].name)
    except Deposed:
        if not stopped_by:
            raise
        log.info("ended by %s, the lead is given back; tasks and pods run on", stopped_by[0].name)
    finally:
        for number in (*STOP_SIGNALS, HAND_OVER_SIGNAL, RELOAD_SIGNAL):
            loop.remove_signal_handler(number)
