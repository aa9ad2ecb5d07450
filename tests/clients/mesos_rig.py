"""A MesosScheduler against handler functions, for the tests of its stream and of its calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from random import Random

from kmsched.clients.http import Request
from kmsched.clients.mesos import Credentials, Gate, Item, MesosScheduler
from kmsched.wire.mesos import Subscribed
from kmsched.wire.mesos_calls import FrameworkInfo
from kmsched.wire.recordio import encode
from tests.clients.fakes import FakeClock, HandlerTransport, Piece, Reply, Silence

FRAMEWORK = FrameworkInfo("km", "root")
STREAM = {"mesos-stream-id": "stream-1"}


def record(type_: str, **body: object) -> bytes:
    return encode(json.dumps({"type": type_, **body}).encode())


SUBSCRIBED = record("SUBSCRIBED", subscribed={"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 15})
HEARTBEAT = record("HEARTBEAT")


def error(message: str) -> bytes:
    return record("ERROR", error={"message": message})


class Rig:
    """A MesosScheduler against a handler; `take` reads items of its events."""

    def __init__(
        self,
        handler: Callable[[Request], Reply],
        *,
        masters: Sequence[str] = ("http://m1:5050",),
        credentials: Credentials | None = None,
        clock: FakeClock | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.transport = HandlerTransport(handler)
        self.gates = 0
        self.client = MesosScheduler(
            masters,
            FRAMEWORK,
            gate or self.gate,
            transport=self.transport,
            clock=self.clock,
            rng=Random(7),
            credentials=credentials,
        )

    async def gate(self) -> str | None:
        self.gates += 1
        assert self.transport.open_streams == 0, "the old stream is closed before the next SUBSCRIBE"
        return "F"

    async def take(self, count: int) -> list[Item]:
        items: list[Item] = []
        async with aclosing(self.client.events()) as events:
            async for item in events:
                items.append(item)
                if len(items) == count:
                    break
        return items

    def hosts(self) -> list[str]:
        return [request.host for request in self.transport.requests]


def streaming(*pieces: Piece) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, (*pieces, Silence()), STREAM)


def scripted(*replies: Reply | Exception) -> Callable[[Request], Reply]:
    left = list(replies)

    def handler(request: Request) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    return handler


def during_subscription(rig: Rig, scenario: Callable[[], object]) -> None:
    async def run() -> None:
        async with aclosing(rig.client.events()) as events:
            assert isinstance(await anext(events), Subscribed)
            awaited = scenario()
            assert asyncio.iscoroutine(awaited)
            await awaited

    asyncio.run(run())


def kind_of(request: Request) -> str:
    return str(json.loads(request.body or b"{}")["type"])


def answering(call_reply: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    def handler(request: Request) -> Reply:
        if kind_of(request) == "SUBSCRIBE":
            return Reply(200, (SUBSCRIBED, Silence()), STREAM)
        return call_reply(request)

    return handler
