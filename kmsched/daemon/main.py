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
from collections.abc import Iterator
from random import SystemRandom

from kmsched import __version__
from kmsched.clients.aiohttp_transport import AiohttpTransport
from kmsched.clients.fetch import read_uri
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.store import FolderStore
from kmsched.clock import SystemClock
from kmsched.config import SchedulerConfig
from kmsched.core.step import step
from kmsched.daemon.artifacts import artifact_digests
from kmsched.daemon.identity import FrameworkId, next_term
from kmsched.daemon.scheduler import Scheduler
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.systemd import Notifier
from kmsched.errors import EXIT_OK, Fatal, InternalError

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        self.scheduler: Scheduler | None = None

    async def run(self) -> None:
        """Until cancelled; Fatal says why it cannot go on."""
        folder = self._config.state_dir
        with contextlib.closing(FolderStore(folder)) as store:
            framework_id = FrameworkId(store, self._config.framework_name, str(folder))
            await framework_id.load()
            digests = await artifact_digests(self._config, store, self._surroundings.read_artifact)
            term = await next_term(store)
            log.info("km scheduler %s, term %d, framework id %s", __version__, term, framework_id.value or "none yet")
            self.scheduler = Scheduler(
                self._config, self._surroundings, store, framework_id, term, self._notifier, digests
            )
            try:
                await self.scheduler.run()
            except BaseExceptionGroup as group:
                raise cause_of(group) from group
            finally:
                self._notifier.stopping()
                await self.scheduler.close()


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
    """Run until one of `STOP_SIGNALS` comes. Nothing is torn down: tasks and pods run on."""
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(daemon.run())
    stopped_by: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        stopped_by.append(number)
        running.cancel()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        log.info("ended by %s; tasks and pods run on", stopped_by[0].name)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
