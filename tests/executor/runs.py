"""An executor as a whole, in a folder of its own, with a world of fakes around it and kubelet as a real process."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kmsched.artifact_uri import with_digest, without_digest
from kmsched.clock import SystemClock
from kmsched.errors import ConfigRefused
from kmsched.executor.lock import take_lock
from kmsched.executor.main import Parts, execute
from kmsched.executor.proxy_config import Mode
from kmsched.executor.settings import ExecutorSettings
from tests.executor.world import FastClock, World, until

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://api:6443", certificate-authority: ca.crt}}]
users: [{name: u, user: {token: secret}}]
"""


@dataclass
class Run:
    """One executor in `folder`, with `world` around it."""

    world: World
    folder: Path
    settings: ExecutorSettings
    environ: dict[str, str]
    files: dict[str, bytes | Exception] = field(default_factory=dict)  # by URI, without digest
    fetched: list[str] = field(default_factory=list)
    lacks: dict[str, str] = field(default_factory=dict)  # why the kernel cannot do a mode

    async def execute(self) -> int:
        parts = Parts(FastClock(), Random(1), lambda _: self.world, b"seed", self.read, self.ask_kernel)
        return await execute(self.settings, self.environ, parts)

    def read(self, uri: str) -> Iterator[bytes]:
        self.fetched.append(uri)
        found = self.files[without_digest(uri)]
        if isinstance(found, Exception):
            raise found
        yield found

    async def ask_kernel(self, mode: Mode) -> str:
        return self.lacks.get(mode.name, "")

    def starts(self) -> list[str]:
        log = self.folder / "kubelet.log"
        return log.read_text().splitlines() if log.exists() else []

    async def lock_is_free(self) -> bool:
        try:
            os.close(await take_lock(self.settings.kubelet_root_dir, SystemClock(), wait_s=0))
        except ConfigRefused:
            return False
        return True


def serve(run: Run, uri: str, content: bytes) -> str:
    """The URI with its digest, from now on readable."""
    run.files[uri] = content
    return with_digest(uri, hashlib.sha256(content).hexdigest())


def play(run: Run, story: Callable[[], Awaitable[None]]) -> int:
    """Run the executor while the story goes on; the executor's exit code."""

    async def both() -> int:
        running = asyncio.create_task(run.execute())
        telling = asyncio.ensure_future(story())
        await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done() and running.exception() is None:
            await telling
        telling.result()
        code = await running
        assert await run.lock_is_free()
        return code

    return asyncio.run(both())


async def one_running(run: Run) -> None:
    """A task whose pod runs."""
    world = run.world
    await until(lambda: world.agent)
    world.launch("t1", "ns/p", "uid-p")
    await until(lambda: run.starts() and all(world.watches.values()))
    world.set_node()
    await until(lambda: world.states("t1") == ["STARTING"])
    world.set_pod("p", "Pending", "t1")
    world.set_pod("p", "Running", "t1")
    await until(lambda: world.states("t1") == ["STARTING", "RUNNING"])
