"""Pods and Nodes of the Kubernetes API as events of the core.

Knows what a reflector yields and what each becomes.  An object that cannot be read is told once and left out; an API
server that is away is told now and then and waited for.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable
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

#: pods that the core takes in one go; leases and news wait for no more
LONG_LIST = 1000

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
        await self._pass_on("pods", items, pod_events)

    async def nodes(self, items: Items[Node]) -> None:
        await self._pass_on("nodes", items, node_events)

    async def _pass_on(
        self, kind: str, items: Items[T], events_of: Callable[[Listed[T] | Changed[T]], Iterable[Event]]
    ) -> None:
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
                        for event in events_of(item):
                            await self._inbox.put(event)
                        self._readiness.heard(kind)
                        if isinstance(item, Listed):
                            log.info("%s listed: %d", kind, len(item.items))


def pod_events(item: Listed[Pod] | Changed[Pod]) -> Iterable[Event]:
    """The pods of a long list are told one by one first: the list itself then only says which are gone."""
    if isinstance(item, Listed):
        if len(item.items) > LONG_LIST:
            yield from map(PodChanged, item.items)
        yield PodsListed(item.items, item.resource_version)
    elif item.type == "DELETED":
        yield PodDeleted(item.object.key, item.object.uid)
    else:
        yield PodChanged(item.object)


def node_events(item: Listed[Node] | Changed[Node]) -> Iterable[Event]:
    if isinstance(item, Listed):
        yield NodesListed(item.items)
    elif item.type == "DELETED":
        yield NodeDeleted(item.object.name)
    else:
        yield NodeChanged(item.object)
