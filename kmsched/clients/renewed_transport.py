"""A transport whose certificates may be replaced while it is used.

Knows that what is under way goes on under the old ones, calls and streams alike: a subscription need not end because
a certificate was renewed in time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kmsched.clients.http import Request, Response, StreamResponse, Transport


@dataclass(slots=True, eq=False)
class _Used:
    transport: Transport
    under_way: int = 0


class RenewedTransport:
    """`Transport`; `renew` puts another one in its place, for every call and stream from now on."""

    def __init__(self, transport: Transport) -> None:
        self._current = _Used(transport)
        #: closed when the last that is under way has ended
        self._retired: list[_Used] = []

    def renew(self, transport: Transport) -> None:
        self._retired.append(self._current)
        self._current = _Used(transport)

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        async with self._use() as transport:
            return await transport.call(request, deadline_s=deadline_s)

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[StreamResponse]:
        async with (
            self._use() as transport,
            transport.stream(request, connect_s=connect_s, idle_s=idle_s) as response,
        ):
            yield response

    async def close(self) -> None:
        retired, self._retired = self._retired, []
        for each in (*retired, self._current):
            await each.transport.close()

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Transport]:
        await self._close_retired()
        used = self._current
        used.under_way += 1
        try:
            yield used.transport
        finally:
            used.under_way -= 1
            await self._close_retired()

    async def _close_retired(self) -> None:
        done = [each for each in self._retired if not each.under_way]
        self._retired = [each for each in self._retired if each.under_way]
        for each in done:
            await each.transport.close()
