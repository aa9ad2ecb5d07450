"""Pods and Nodes of the Kubernetes API as events of the core.

Knows what a reflector yields and what each becomes.  An object that cannot be read is told once and left out; an API
server that is away is told now and then and waited for.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from kmsched.clients.reflector import Changed, Interrupted, Item, Listed, Undecodable, Watching
from kmsched.core.events import Event, NodeChanged, NodeDeleted, NodesListed, PodChanged, PodDeleted, PodsListed
from kmsched.core.model import Node, Pod
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats

log = logging.getLogger(__name__)

T = TypeVar("T")
Items = AsyncGenerator[Item[T], None]


class FromKube:
    """`pods` and `nodes` run until cancelled."""

    def __init__(self, inbox: Inbox, readiness: Readiness, metrics: Metrics, repeats: Repeats) -> None:
        self._inbox = inbox
        self._readiness = readiness
        self._metrics = metrics
        self._repeats = repeats

    async def pods(self, items: Items[Pod]) -> None:
        await self._pass_on("pods", items, pod_event)

    async def nodes(self, items: Items[Node]) -> None:
        await self._pass_on("nodes", items, node_event)

    async def _pass_on(self, kind: str, items: Items[T], event_of: Callable[[Listed[T] | Changed[T]], Event]) -> None:
        async with aclosing(items):
            async for item in items:
                match item:
                    case Interrupted():
                        self._readiness.interrupted(kind, item.reason)
                        if self._repeats.is_news(item.reason):
                            log.warning("%s: %s", kind, item.reason)
                    case Watching():
                        self._readiness.watching(kind)
                    case Undecodable():
                        self._metrics.bad_objects.labels(kind).inc()
                        if self._repeats.is_first(item.reason):
                            log.error("%s: %s", kind, item.reason)
                    case _:
                        await self._inbox.put(event_of(item))
                        self._readiness.heard(kind)
                        if isinstance(item, Listed):
                            log.info("%s listed: %d", kind, len(item.items))


def pod_event(item: Listed[Pod] | Changed[Pod]) -> Event:
    if isinstance(item, Listed):
        return PodsListed(item.items, item.resource_version)
    if item.type == "DELETED":
        return PodDeleted(item.object.key, item.object.uid)
    return PodChanged(item.object)


def node_event(item: Listed[Node] | Changed[Node]) -> Event:
    if isinstance(item, Listed):
        return NodesListed(item.items)
    if item.type == "DELETED":
        return NodeDeleted(item.object.name)
    return NodeChanged(item.object)
