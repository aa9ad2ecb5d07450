"""How kube-proxy fares, as Events on the Node, for `kubectl describe node`.

Knows which news are worth an Event and how often.  They are a courtesy: one that cannot be written is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field

from kmsched.clients.kube import KubeClient
from kmsched.clients.kube_pods import create_event, repeat_event
from kmsched.clock import Clock
from kmsched.errors import Conflict, KmError

#: the same news is written again after this at the earliest
REPEAT_S = 300.0
MAX_WAITING = 20
MAX_MESSAGE_CHARS = 1024
COMPONENT = "km-executor"
NAMESPACE = "default"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ProxyEvents:
    """`put` never waits; `run` writes until cancelled."""

    kube: KubeClient
    clock: Clock
    node_name: str
    _waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    _written: dict[str, tuple[int, float]] = field(default_factory=dict)  # how often, when last (monotonic seconds)
    _trouble: str = ""

    def put(self, trouble: str) -> None:
        """`trouble` "": it is well; news only after it was not."""
        if not trouble and not self._trouble:
            return
        self._trouble = trouble
        if not self._waiting.full():
            self._waiting.put_nowait(trouble)

    async def run(self) -> None:
        while True:
            trouble = await self._waiting.get()
            count, written_s = self._written.get(trouble, (0, 0.0))
            if count and self.clock.monotonic() - written_s < REPEAT_S:
                continue
            if len(self._written) >= MAX_WAITING:
                self._written.clear()
            self._written[trouble] = (count + 1, self.clock.monotonic())
            try:
                await self._write(trouble, count + 1)
            except KmError as error:
                log.warning("an Event on the Node cannot be written: %s", error)

    async def _write(self, trouble: str, count: int) -> None:
        kind, reason = ("Warning", "KubeProxyFailing") if trouble else ("Normal", "KubeProxyHealthy")
        message = (trouble or "kube-proxy is healthy")[:MAX_MESSAGE_CHARS]
        name = f"{self.node_name}.{hashlib.sha256(f'{reason} {message}'.encode()).hexdigest()[:16]}"
        now_s = self.clock.wall()
        # kubelet, too, gives the Node's name as its uid: `kubectl describe node` looks for that
        node = {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": self.node_name}
        try:
            await create_event(
                self.kube,
                name=name,
                namespace=NAMESPACE,
                involved=node,
                type_=kind,
                reason=reason,
                message=message,
                component=COMPONENT,
                now_s=now_s,
            )
        except Conflict:
            await repeat_event(self.kube, name=name, namespace=NAMESPACE, message=message, count=count + 1, now_s=now_s)
