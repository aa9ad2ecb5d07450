"""The fence on the way out: what has an effect leaves this process only while it leads.

Knows which requests have an effect, by their method and path, and asks the fence before each of them; a leader that is
suspended keeps them waiting, so that they go out when it leads on, and not at all when it is deposed.  It does not know
who leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from kmsched.clients.http import Request, Response, StreamResponse, Transport

READING = frozenset({"GET", "HEAD"})
#: POST, and yet only questions
QUESTIONS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")


class Fence(Protocol):
    async def admit(self) -> float:
        """Return when a call with an effect may be sent; how long it may take then, in seconds.

        Deposed: never again.
        """
        ...


class FencedTransport:
    """`Transport` that asks `fence` before each call that has an effect.

    Watches pass: they only read.  A SUBSCRIBE has confirmed the lease before; where it is sent on to another master it
    is asked for again.
    """

    def __init__(self, transport: Transport, fence: Fence) -> None:
        self._transport = transport
        self._fence = fence
        self._under_way = 0
        self._is_settled = asyncio.Event()
        self._is_settled.set()

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        if not has_effect(request):
            return await self._transport.call(request, deadline_s=deadline_s)
        limit_s = min(deadline_s, await self._fence.admit())
        self._under_way += 1
        self._is_settled.clear()
        try:
            return await self._transport.call(request, deadline_s=limit_s)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_settled.set()

    async def settled(self) -> None:
        """Until no call with an effect is under way."""
        await self._is_settled.wait()

    @asynccontextmanager
    async def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AsyncGenerator[StreamResponse, None]:
        if has_effect(request):
            await self._fence.admit()
        async with self._transport.stream(request, connect_s=connect_s, idle_s=idle_s) as stream:
            yield stream

    async def close(self) -> None:
        await self._transport.close()


def has_effect(request: Request) -> bool:
    return request.method not in READING and not urlsplit(request.url).path.startswith(QUESTIONS)
