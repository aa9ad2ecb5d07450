from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.clients.renewed_transport import RenewedTransport

ASK = Request("GET", "http://a/")


class Streaming:
    """Its name, as long as that is not closed."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, of: Answering) -> None:
        self.of = of

    async def read(self, limit: int) -> bytes:
        assert self.of.name not in self.of.closed, "a stream under way goes on"
        return self.of.name.encode()

    def chunks(self) -> AsyncIterator[bytes]:
        raise AssertionError("nobody reads to the end here")


class Answering:
    """Answers with its name, when it may."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name = name
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.closed = closed

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        await self.may_answer.wait()
        assert self.name not in self.closed, "a call under way is answered"
        return Response(200, body=self.name.encode())

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[StreamResponse]:
        yield Streaming(self)

    async def close(self) -> None:
        self.closed.append(self.name)


def test_a_call_under_way_is_answered_and_the_next_one_goes_another_way() -> None:
    async def story() -> None:
        closed: list[str] = []
        old, new, newest = (Answering(name, closed) for name in ("old", "new", "newest"))
        renewed = RenewedTransport(old)
        old.may_answer.clear()
        first = asyncio.create_task(renewed.call(ASK, deadline_s=1))
        await asyncio.sleep(0)
        renewed.renew(new)
        assert (await renewed.call(ASK, deadline_s=1)).body == b"new"
        assert closed == []
        old.may_answer.set()
        assert (await first).body == b"old"
        assert closed == ["old"]
        renewed.renew(newest)
        assert (await renewed.call(ASK, deadline_s=1)).body == b"newest"
        assert closed == ["old", "new"]
        await renewed.close()
        assert closed == ["old", "new", "newest"]

    asyncio.run(story())


def test_a_stream_under_way_goes_on_beside_calls_that_go_another_way() -> None:
    """A subscription with Mesos need not end because a certificate was renewed in time."""

    async def story() -> None:
        closed: list[str] = []
        old, new = (Answering(name, closed) for name in ("old", "new"))
        renewed = RenewedTransport(old)
        async with renewed.stream(ASK, connect_s=1, idle_s=1) as subscription:
            renewed.renew(new)
            assert (await renewed.call(ASK, deadline_s=1)).body == b"new"
            assert await subscription.read(10) == b"old"
            async with renewed.stream(ASK, connect_s=1, idle_s=1) as another:
                assert await another.read(10) == b"new"
            assert closed == []
        assert closed == ["old"]
        await renewed.close()
        assert closed == ["old", "new"]

    asyncio.run(story())
