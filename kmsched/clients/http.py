"""The one transport seam: every byte to or from an upstream passes through a `Transport`.

Knows requests, responses, streams and their deadlines.  Refuses to know what the bytes mean, to follow
redirects and to try again: those are decisions of the client that calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from kmsched.clock import Clock
from kmsched.errors import Unavailable

#: A response to `call` that is longer than this is refused, so that one answer cannot fill the memory.
MAX_BODY_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `url` is absolute."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2] or self.url


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def text(self, limit: int = 500) -> str:
        """The start of the body as one line of text, for messages."""
        return excerpt(self.body, limit)


class StreamResponse(Protocol):
    """A response whose body is still coming; header names are lower-case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; ends where the upstream ended it.

        Unavailable: nothing came for `idle_s`, or the connection broke.
        """
        ...

    async def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the body, for the text of an error."""
        ...


class Transport(Protocol):
    """What clients may ask of the network."""

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        """The whole exchange within `deadline_s` seconds.

        Unavailable: refused, not resolved, TLS failed, broken, too long, or the deadline passed.  After it
        the request may still take effect.
        """
        ...

    def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        """A response read piece by piece.

        `connect_s` bounds the time to the response's headers, `idle_s` each wait for more bytes, in seconds.
        Unavailable as for `call`; leaving the context closes the connection.
        """
        ...

    async def close(self) -> None: ...


def excerpt(body: bytes, limit: int = 500) -> str:
    """The start of a body as one line of text, for messages."""
    text = " ".join(body[: limit + 1].decode("utf-8", "replace").split())
    if not text:
        return "(nothing)"
    return text if len(text) <= limit else text[:limit] + "…"


async def within(clock: Clock, seconds: float, work: Awaitable[T], late: str) -> T:
    """The result of `work`, or Unavailable(`late`) when `clock` says that `seconds` have passed.

    For waits that the caller's own clock must decide; work that is late is cancelled.
    """
    working = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({working, timer}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Unavailable(late)
    finally:
        unfinished = [each for each in (working, timer) if not each.done()]
        for each in unfinished:
            each.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
