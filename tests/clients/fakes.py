"""A clock that jumps when nobody else has anything to do, and a transport that is a handler function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kmsched.clients.http import Request, Response
from kmsched.errors import Unavailable

#: Turns of the event loop that other tasks get before a sleeper's time is up.
PATIENCE_TURNS = 30


class FakeClock:
    """Time passes only while somebody sleeps and nothing else moves; `slept` remembers finished sleeps.

    `stop` lets it stand still from now on; for who talks over real sockets, whose waits are no sleeps.
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.wall_ahead_s = 0.0  # somebody sets the clock
        self._runs = asyncio.Event()
        self._runs.set()
        self.slept: list[float] = []

    def stop(self) -> None:
        self._runs.clear()

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s + self.wall_ahead_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        for _ in range(PATIENCE_TURNS):
            await asyncio.sleep(0)
        await self._runs.wait()
        self.now_s = max(self.now_s, until_s)
        self.slept.append(seconds)


@dataclass(frozen=True)
class Silence:
    """In a body: nothing more comes, and the connection stays."""


@dataclass(frozen=True)
class Pause:
    """In a body: so much time of the fake clock passes."""

    clock: FakeClock
    seconds: float


Piece = bytes | Silence | Pause | Exception


@dataclass(frozen=True)
class Reply:
    """What a handler answers: a status and a body in pieces."""

    status: int = 200
    body: Sequence[Piece] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class HandlerTransport:
    """Each request goes to `handler`, which answers or raises; all of them are kept in `requests`."""

    def __init__(self, handler: Callable[[Request], Reply]) -> None:
        self._handler = handler
        self.requests: list[Request] = []
        self.open_streams = 0
        self.calls_under_way = 0
        self.most_calls_under_way = 0
        #: clear it, and calls wait for their answers until it is set again
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        assert deadline_s > 0
        self.requests.append(request)
        self.calls_under_way += 1
        self.most_calls_under_way = max(self.most_calls_under_way, self.calls_under_way)
        try:
            await self.may_answer.wait()
            await asyncio.sleep(0)
            return await self._answer(request)
        finally:
            self.calls_under_way -= 1

    async def _answer(self, request: Request) -> Response:
        reply = self._handler(request)
        body = b"".join([piece async for piece in _pieces(reply.body)])
        return Response(reply.status, reply.headers, body)

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[FakeStream]:
        assert connect_s > 0
        assert idle_s > 0
        self.requests.append(request)
        await asyncio.sleep(0)
        reply = self._handler(request)
        self.open_streams += 1
        try:
            yield FakeStream(reply)
        finally:
            self.open_streams -= 1

    async def close(self) -> None:
        pass


class FakeStream:
    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._body = reply.body

    def chunks(self) -> AsyncIterator[bytes]:
        return _pieces(self._body)

    async def read(self, limit: int) -> bytes:
        return b"".join([piece async for piece in _pieces(self._body)])[:limit]


async def _pieces(body: Sequence[Piece]) -> AsyncIterator[bytes]:
    for piece in body:
        match piece:
            case bytes():
                yield piece
            case Silence():
                await asyncio.Event().wait()
            case Pause():
                piece.clock.now_s += piece.seconds
            case Exception():
                raise piece


def refused(request: Request) -> Unavailable:
    return Unavailable(f"{request.host}: no connection: Connection refused")
