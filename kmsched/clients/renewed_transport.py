"""A transport whose certificates may be replaced while it is used.

Knows that calls under way are answered under the old ones, and that streams end with them: whoever reads one takes it
up again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kmsched.clients.http import Request, Response, StreamResponse, Transport


@dataclass(slots=True, eq=False)
class _Used:
    transport: Transport
    calls_under_way: int = 0


class RenewedTransport:
    """`Transport`; `renew` puts another one in its place, for every call from now on."""

    def __init__(self, transport: Transport) -> None:
        self._current = _Used(transport)
        #: closed when their last call was answered
        self._retired: list[_Used] = []

    def renew(self, transport: Transport) -> None:
        self._retired.append(self._current)
        self._current = _Used(transport)

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        await self._close_retired()
        used = self._current
        used.calls_under_way += 1
        try:
            return await used.transport.call(request, deadline_s=deadline_s)
        finally:
            used.calls_under_way -= 1
            await self._close_retired()

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[StreamResponse]:
        await self._close_retired()
        async with self._current.transport.stream(request, connect_s=connect_s, idle_s=idle_s) as response:
            yield response

    async def close(self) -> None:
        retired, self._retired = self._retired, []
        for each in (*retired, self._current):
            await each.transport.close()

    async def _close_retired(self) -> None:
        done = [each for each in self._retired if not each.calls_under_way]
        self._retired = [each for each in self._retired if each.calls_under_way]
        for each in done:
            await each.transport.close()
