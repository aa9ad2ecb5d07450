"""The executor's children, kubelet and kube-proxy, under the one lock in kubelet's folder.

Knows their order: the program first, then the lock, then kubelet, then kube-proxy beside it.  The lock is given up
only when both are gone.  How each is prepared is `executor.node`'s and `executor.proxy`'s.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from kmsched.errors import KmError
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.child import Child
from kmsched.executor.lock import take_lock
from kmsched.executor.node import Surroundings, fetch_kubelet, prepare_kubelet
from kmsched.executor.node_events import ProxyEvents
from kmsched.executor.proxy import Ask, Proxy, ProxyParts

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Children:
    """`run` once, as a task; `spawn` runs coroutines beside; `stop`, then `release`, at the end."""

    def __init__(self, around: Surroundings, spawn: Spawn, ask: Ask) -> None:
        self._around = around
        self._spawn = spawn
        self._ask = ask
        self._lock_fd: int | None = None
        self._kubelet: Child | None = None
        self._proxy: Proxy | None = None

    async def run(self, start: do.StartKubelet) -> None:
        """Until kubelet is stopped or there is no hope for it. What cannot work is told to the core."""
        around = self._around
        try:
            program = await fetch_kubelet(around)
            self._lock_fd = lock_fd = await take_lock(around.settings.kubelet_root_dir, around.clock)
            self._kubelet = kubelet = await prepare_kubelet(around, start, program, lock_fd)
        except KmError as error:
            self.release()
            around.tell(ev.KubeletRefused(str(error)))
            return
        if around.settings.proxy_path:
            self._start_proxy(start.hostname.lower(), lock_fd)
        await kubelet.run()

    async def restart_kubelet(self) -> None:
        if self._kubelet is not None:
            await self._kubelet.restart()

    async def stop(self) -> None:
        """Returns when both are gone. Containers run on, and kube-proxy's rules stay."""
        await asyncio.gather(*(child.stop() for child in (self._kubelet, self._proxy) if child is not None))

    def release(self) -> None:
        """Give up this process's hold on the lock; a child that still ran would keep its own."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _start_proxy(self, node_name: str, lock_fd: int) -> None:
        around = self._around
        events = ProxyEvents(around.kube, around.clock, node_name)
        parts = ProxyParts(
            settings=around.settings,
            sandbox=around.mesos.sandbox,
            fetching=around.fetching,
            transport=around.transport,
            clock=around.clock,
            rng=around.rng,
            report=events.put,
            ask=self._ask,
        )
        self._proxy = Proxy(parts, node_name, lock_fd)
        self._spawn(events.run(), "events of the Node")
        self._spawn(self._proxy.run(), "kube-proxy")
