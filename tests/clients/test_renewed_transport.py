from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.clients.renewed_transport import RenewedTransport

ASK = Request("GET", "http://a/")


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

    def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        raise AssertionError("nobody streams here")

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
