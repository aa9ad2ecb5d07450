"""Nodes without a kubelet are spoken for: their Leases are renewed, as kubelet would, until one takes them over.

Knows how often.  Which Nodes these are is asked of the core at each turn: none, where this process does not lead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from kmsched.clients.kube import KubeClient
from kmsched.clients.kube_nodes import renew_lease
from kmsched.clock import Clock
from kmsched.core.model import Node
from kmsched.daemon.repeats import Repeats
from kmsched.errors import KmError

#: as kubelet does it; Kubernetes waits 40 to 50 s unless it is told otherwise
RENEW_S = 10.0
MAX_CALLS_AT_ONCE = 16

log = logging.getLogger(__name__)


async def keep_promises(
    kube: KubeClient, promised: Callable[[], Sequence[Node]], repeats: Repeats, clock: Clock
) -> None:
    """Until cancelled. `promised`: those that this process speaks for, while it leads."""
    room = asyncio.Semaphore(MAX_CALLS_AT_ONCE)

    async def renew(node: Node) -> None:
        async with room:
            try:
                await renew_lease(kube, node.name, node.uid, clock.wall())
            except KmError as error:
                if repeats.is_news(str(error)):
                    log.warning("Node %s, which has no kubelet yet, is not spoken for: %s", node.name, error)

    while True:
        await asyncio.gather(*(renew(node) for node in promised()))
        await clock.sleep(RENEW_S)
