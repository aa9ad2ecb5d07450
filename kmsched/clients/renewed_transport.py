"""A transport whose certificates may be replaced while it is used.

Knows that what is under way stays with the old ones, and that files which are no good change nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kmsched.clients.http import Request, Response, StreamResponse, Transport


class RenewedTransport:
    """`Transport`; `make` reads the files and makes one. ConfigRefused: a file cannot be used."""

    def __init__(self, make: Callable[[], Transport]) -> None:
        self._make = make
        self._current = make()
        #: may still be in use; closed before the next call
        self._retired: Transport | None = None

    def renew(self) -> None:
        """Read the files anew, for every call from now on. ConfigRefused: everything stays as it was."""
        made = self._make()
        # with one retired already, the current one was not called yet: it has nothing to close
        self._retired = self._retired or self._current
        self._current = made

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        await self._close_retired()
        return await self._current.call(request, deadline_s=deadline_s)

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[StreamResponse]:
        await self._close_retired()
        async with self._current.stream(request, connect_s=connect_s, idle_s=idle_s) as response:
            yield response

    async def close(self) -> None:
        await self._close_retired()
        await self._current.close()

    async def _close_retired(self) -> None:
        retired, self._retired = self._retired, None
        if retired is not None:
            await retired.close()
