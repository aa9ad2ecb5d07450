"""The ways into a scheduler: what Kubernetes shows and Mesos says goes into the inbox.

Knows which collections are copied, and how the words of Mesos can be done without for a while.  What they mean, it
does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kmsched.clients.reflector import Reflector
from kmsched.daemon.from_kube import FromKube
from kmsched.daemon.from_mesos import FromMesos
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.outlets import Outlets
from kmsched.daemon.pod_reader import PodReader
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.daemon.surroundings import Surroundings
from kmsched.wire.kube import decode_node


class Sources:
    """`start` once. Calls go through the clients of `outlets`, so behind their fence; `overtaken`: as `Lead` says."""

    def __init__(
        self,
        outlets: Outlets,
        pod_reader: PodReader,
        inbox: Inbox,
        surroundings: Surroundings,
        *,
        framework_id: FrameworkId,
        readiness: Readiness,
        metrics: Metrics,
        repeats: Repeats,
        overtaken: Callable[[str], Awaitable[None]],
    ) -> None:
        clock, rng = surroundings.clock, surroundings.rng
        self._pods = Reflector(outlets.kube, "/api/v1/pods", decode=pod_reader.read, clock=clock, rng=rng)
        self._nodes = Reflector(outlets.kube, "/api/v1/nodes", decode=decode_node, clock=clock, rng=rng)
        self._from_kube = FromKube(inbox, readiness, metrics, repeats)
        self._from_mesos = FromMesos(
            outlets.mesos.events,
            inbox,
            framework_id=framework_id,
            readiness=readiness,
            metrics=metrics,
            repeats=repeats,
            clock=clock,
            rng=rng,
            overtaken=overtaken,
            identity=outlets.mesos.identity,
        )

    def start(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._from_kube.pods(self._pods.changes()))
        group.create_task(self._from_kube.nodes(self._nodes.changes()))
        group.create_task(self._from_mesos.run())

    async def pause(self) -> None:
        """End the subscription with Mesos, and begin no other until `resume`. Only after `start`."""
        await self._from_mesos.pause()

    def resume(self) -> None:
        self._from_mesos.resume()
