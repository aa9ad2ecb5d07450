"""`km scheduler`: the parts put together, and how the process ends.

Knows the order of starting: lock, web, Kubernetes, and Mesos only when pods and nodes are known, because an empty cache
would have every task killed.  All work is in the parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from random import SystemRandom

from kmsched import __version__
from kmsched.clients.aiohttp_transport import AiohttpTransport
from kmsched.clients.fetch import read_uri
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.store import FolderStore, Store
from kmsched.clock import SystemClock
from kmsched.config import SchedulerConfig
from kmsched.core.step import step
from kmsched.daemon.artifacts import artifact_digests
from kmsched.daemon.group import Group
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.scheduler import Scheduler
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.systemd import Notifier
from kmsched.errors import EXIT_OK, Deposed, Fatal, InternalError, NotHandedOver

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
HAND_OVER_SIGNAL = signal.SIGUSR1
RELOAD_SIGNAL = signal.SIGHUP


def run_scheduler(config: SchedulerConfig) -> int:
    """Schedule until SIGTERM or SIGINT. Fatal errors carry the exit code."""
    surroundings = Surroundings(
        clock=SystemClock(),
        rng=SystemRandom(),
        make_transport=AiohttpTransport,
        environment=os.environ,
        hostname=socket.gethostname(),
        step=step,
        read_artifact=read_artifact,
    )
    asyncio.run(until_signalled(Daemon(config, surroundings)))
    return EXIT_OK


def read_artifact(uri: str) -> Iterator[bytes]:
    """The file behind a URI, with this host's configuration of Hadoop."""
    return read_uri(uri, load_hadoop_conf(os.environ))


class Daemon:
    """One scheduler process without its signals. `url` is where its pages are, once `run` has started them."""

    def __init__(self, config: SchedulerConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._surroundings = surroundings
        self._notifier = Notifier(surroundings.environment, os.getpid())
        self._group: Group | None = None
        self.scheduler: Scheduler | None = None

    async def run(self) -> None:
        """Until cancelled; Fatal says why it cannot go on."""
        config, surroundings = self._config, self._surroundings
        with contextlib.closing(FolderStore(config.state_dir)) as folder:
            if config.ha is None:
                await self._schedule(folder, str(config.state_dir), None)
                return
            home = f"{surroundings.hostname}:{config.state_dir}"
            self._group = group = Group(config.ha, config.framework_name, surroundings, home, config.http.ca_file)
            try:
                await group.await_etcd(self._tell_waiting)
                await self._schedule(group.store, f"etcd under {group.keys.prefix}", group)
            finally:
                await group.close()

    async def _schedule(self, store: Store, where: str, group: Group | None) -> None:
        config, surroundings = self._config, self._surroundings
        framework_id = FrameworkId(store, config.framework_name, where)
        await framework_id.load()
        digests = await artifact_digests(config, store, surroundings.read_artifact)
        log.info("km scheduler %s, framework id %s", __version__, framework_id.value or "none yet")
        self.scheduler = scheduler = Scheduler(
            config, surroundings, store, framework_id, self._notifier, digests, group, self.hand_over
        )
        try:
            await scheduler.run()
        except BaseExceptionGroup as errors:
            raise cause_of(errors) from errors
        finally:
            self._notifier.stopping()
            if group is not None:
                await group.leave("this process ends")
            await scheduler.close()

    async def hand_over(self, reason: str, to: str | None = None) -> str:
        """Give the lead to the standby `to`, or to any that can take it at once; who that is, in words.

        `run` ends soon after. NotHandedOver: the message says why, and everything is as before.
        """
        group, scheduler = self._group, self.scheduler
        if group is None or scheduler is None or not group.leads:
            raise NotHandedOver("this process does not lead a group of schedulers; nothing is handed over")
        standbys = [each.instance for each in group.healthy_standbys()]
        if to is not None and to not in standbys:
            raise NotHandedOver(f"{to} could not lead now ({', '.join(standbys) or 'nobody'} could); this one leads on")
        if not standbys:
            raise NotHandedOver("no other scheduler could lead now; this one leads on")
        words = to or " or ".join(standbys)
        log.info("%s: handing over to %s", reason, words)
        await self._let_go(group, scheduler, reason)
        return words

    def reload(self) -> None:
        """Read tokens and certificates of the HTTP server anew; those that cannot be used stay as they were."""
        kept = [] if self.scheduler is None else self.scheduler.reload()
        for words in kept:
            log.error("%s", words)
        if not kept:
            log.info("tokens and certificates are read anew")

    async def end(self, reason: str) -> None:
        """Before this process ends anyway: what was sent is answered, and peers need not wait for a lease."""
        if self._group is not None and self.scheduler is not None:
            await self._let_go(self._group, self.scheduler, reason)

    async def _let_go(self, group: Group, scheduler: Scheduler, reason: str) -> None:
        group.lead.hold()
        await scheduler.settle(group.call_deadline_s)
        await group.leave(reason)

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


async def until_signalled(daemon: Daemon) -> None:
    """Run until one of `STOP_SIGNALS` comes. Nothing is torn down: tasks and pods run on.

    HAND_OVER_SIGNAL gives the lead to a standby, if there is one that can take it; Deposed.  RELOAD_SIGNAL has tokens
    and certificates read anew.
    """
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(daemon.run())
    stopped_by: list[signal.Signals] = []
    asked: set[asyncio.Task[None]] = set()

    async def stop(number: signal.Signals) -> None:
        stopped_by.append(number)
        if len(stopped_by) == 1:
            await daemon.end(f"ended by {number.name}")
        running.cancel()

    async def hand_over() -> None:
        try:
            await daemon.hand_over(HAND_OVER_SIGNAL.name)
        except NotHandedOver as error:
            log.error("%s: %s", HAND_OVER_SIGNAL.name, error)

    def ask(answer: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answer)
        asked.add(task)
        task.add_done_callback(asked.discard)

    def ask_to_stop(number: signal.Signals) -> None:
        ask(stop(number))

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, ask_to_stop, number)
    loop.add_signal_handler(HAND_OVER_SIGNAL, lambda: ask(hand_over()))
    loop.add_signal_handler(RELOAD_SIGNAL, daemon.reload)
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
