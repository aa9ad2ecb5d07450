"""What executors ask of the API server is what nodes are granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request, Response
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.kube_rights import NODE_RIGHTS
from kmsched.executor.node_events import ProxyEvents
from tests.clients.fakes import FakeClock, HandlerTransport, Reply
from tests.clients.kube_calls import as_calls, calls
from tests.executor.runs import Run, one_running, play
from tests.executor.world import DRAINED, QueueStream, World, until


class RecordingWorld(World):
    """Keeps every request to the API server."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        self._keep(request)
        return await super().call(request, deadline_s=deadline_s)

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[QueueStream]:
        self._keep(request)
        async with super().stream(request, connect_s=connect_s, idle_s=idle_s) as stream:
            yield stream

    def _keep(self, request: Request) -> None:
        if request.url.startswith("https://api:6443/"):
            self.requests.append(request)


def events_of_kube_proxy() -> list[Request]:
    """Trouble that is told twice: its Event exists already then."""
    transport = HandlerTransport(lambda request: Reply(409 if request.method == "POST" else 200, [b"{}"]))

    async def scenario() -> None:
        access = KubeAccess(("https://api:6443",), TlsSettings(), "node")
        events = ProxyEvents(
            KubeClient(access, make_transport=lambda _: transport, clock=FakeClock()), FakeClock(), "h1"
        )
        events.put("it failed")
        writing = asyncio.create_task(events.run())
        await until(lambda: len(transport.requests) == 2)
        writing.cancel()

    asyncio.run(scenario())
    return transport.requests


def test_executors_are_granted_what_they_do_and_nothing_else(run: Run) -> None:
    world = run.world = RecordingWorld()

    async def story() -> None:
        await one_running(run)
        world.event("KILL", kill=DRAINED)
        await until(lambda: world.deletions)
        world.event("SHUTDOWN")

    play(run, story)
    assert calls([*world.requests, *events_of_kube_proxy()], NODE_RIGHTS) == as_calls(NODE_RIGHTS)
    assert len(as_calls(NODE_RIGHTS)) == len(NODE_RIGHTS)
