"""kube-proxy beside kubelet: fetched, started, looked after, for as long as the executor lives.

Pods never fail by it: what is wrong with it is logged and told as an Event on the Node, and it is tried again.  It
inherits the lock like kubelet does, so that the children of two executors are never there at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kmsched.clients.http import Transport
from kmsched.clock import Clock
from kmsched.errors import ConfigRefused, KmError
from kmsched.executor.child import Child, Command, Ended, Healthy, Hopeless, News, Probe, Unhealthy, healthz
from kmsched.executor.fetching import Fetching
from kmsched.executor.proxy_config import MODES, Mode, command, given, healthz_address
from kmsched.executor.settings import ExecutorSettings

NAME = "kube-proxy"
#: after it could not be fetched or started
AGAIN_S = 60.0
#: until it answers for the first time in its life; what it says before is no news
START_S = 30.0
ASK_DEADLINE_S = 10.0
MAX_WORDS = 300

log = logging.getLogger(__name__)

#: "" when the kernel (and a program) can do what the mode needs, else why not
Ask = Callable[[Mode], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class ProxyParts:
    """What kube-proxy needs of its executor; `report` takes "" for being well again, else what is wrong."""

    settings: ExecutorSettings
    sandbox: Path
    fetching: Fetching
    transport: Transport
    clock: Clock
    rng: Random
    report: Callable[[str], None]
    ask: Ask


class Proxy:
    """`run` it as a task, `stop` it once. `lock_fd` stays the caller's."""

    def __init__(self, parts: ProxyParts, node_name: str, lock_fd: int) -> None:
        self._parts = parts
        self._node_name = node_name
        self._lock_fd = lock_fd
        self._child: Child | None = None
        self._is_stopping = False
        self._starting_until_s = 0.0

    async def run(self) -> None:
        """Again and again, until stopped."""
        while not self._is_stopping:
            try:
                self._child = child = await self._prepared()
            except (KmError, OSError) as error:
                self._tell(Hopeless(str(error)))
            else:
                self._is_starting()
                if not self._is_stopping:
                    await child.run()
            if not self._is_stopping:
                await self._parts.clock.sleep(AGAIN_S)

    async def stop(self) -> None:
        """Its rules stay in the kernel, for the pods that run on."""
        self._is_stopping = True
        if self._child is not None:
            await self._child.stop()

    async def _prepared(self) -> Child:
        parts, settings = self._parts, self._parts.settings
        if not settings.proxy_kubeconfig.is_file():
            raise ConfigRefused(
                f"--proxy-kubeconfig: there is no file {settings.proxy_kubeconfig}: put a kubeconfig there whose user"
                " has the role system:node-proxier"
            )
        program = await parts.fetching.obtain("proxy", settings.proxy_path, lambda words: None)
        mode = "" if given("proxy-mode", settings.proxy_extra_args) else await choose_mode(parts.ask)
        argv = command(
            program,
            kubeconfig=settings.proxy_kubeconfig,
            node_name=self._node_name,
            mode=mode,
            extra_args=settings.proxy_extra_args,
        )
        log.info("kube-proxy is to run: %s", argv)
        return Child(
            Command(NAME, argv, parts.sandbox / "kube-proxy.log", self._lock_fd),
            clock=parts.clock,
            rng=parts.rng,
            probe=self._probe(argv),
            tell=self._tell,
        )

    def _probe(self, argv: tuple[str, ...]) -> Probe:
        address = healthz_address(argv)
        if address:
            return healthz(NAME, self._parts.transport, address)

        async def trusted() -> str:
            return ""

        return trusted

    def _is_starting(self) -> None:
        self._starting_until_s = self._parts.clock.monotonic() + START_S

    def _tell(self, news: News) -> None:
        match news:
            case Healthy():
                log.info("kube-proxy is healthy")
                self._starting_until_s = 0.0
                self._parts.report("")
            case Unhealthy(reason):
                if self._parts.clock.monotonic() >= self._starting_until_s:
                    log.warning("%s", reason)
                    self._parts.report(reason)
            case Ended(reason):
                self._is_starting()
                self._parts.report(reason)
            case Hopeless(reason):
                log.error("kube-proxy does not run, and is tried again in %.0f s: %s", AGAIN_S, reason)
                self._parts.report(reason)


async def choose_mode(ask: Ask) -> str:
    """The first mode that this host can do. ConfigRefused: it can do none."""
    lacks = []
    for mode in MODES:
        trouble = await ask(mode)
        if not trouble:
            log.info("kube-proxy writes its rules with %s", mode.name)
            return mode.name
        lacks.append(f"{mode.name} needs {mode.needs}: {trouble}")
    raise ConfigRefused(f"kube-proxy cannot write rules on this host; {'; '.join(lacks)}")


async def ask_kernel(mode: Mode, deadline_s: float = ASK_DEADLINE_S) -> str:
    """Run the mode's command; see `Ask`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *mode.asks,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return f"cannot run {mode.asks[0]}: {error.strerror}"
    try:
        _, said = await asyncio.wait_for(process.communicate(mode.told.encode()), deadline_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{mode.asks[0]} gave no answer in {deadline_s:g} s"
    words = " ".join(said.decode("utf-8", "replace").split())[:MAX_WORDS]
    return "" if process.returncode == 0 else words or f"{mode.asks[0]} ended with {process.returncode}"
