"""An HTTP server over real sockets with all routes that a scheduler has, and its token files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kmsched.daemon import profiling, web_acts, web_routes
from kmsched.daemon.web import Web
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_acts import Acts
from kmsched.daemon.web_peers import deadman_route, leader_route
from kmsched.daemon.web_routes import Route
from kmsched.errors import NotHandedOver
from kmsched.http_settings import HttpSettings
from kmsched.wire.members import Hello
from tests.daemon.test_web import views

READ = "r" * 32


ACT = "a" * 32


LEADER = {"role": "standby", "leader": {"instance": "a", "url": "http://10.0.0.1:1", "boot_id": "b"}}


class Handing:
    """What is asked of the process."""

    def __init__(self, *, refusal: str = "", leads: bool = True) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.refusal = refusal
        self.leads = leads
        self.was_asked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def hand_over(self, reason: str, to: str | None = None) -> str:
        self.asked.append((reason, to))
        self.was_asked.set()
        await self.may_go_on.wait()
        if self.refusal:
            raise NotHandedOver(self.refusal)
        return to or "b"

    def routes(self) -> list[Route]:
        return web_acts.routes(Acts(self.hand_over, lambda: self.leads, lambda: LEADER))


def everything(handing: Handing) -> list[Route]:
    """As the scheduler has it with `--ha` and `--profiling`."""
    hello = Hello(instance="a", boot_id="b1", term=7, lease_id="77")
    ended = asyncio.Event()
    ended.set()
    return [
        *web_routes.routes(views()),
        *profiling.routes(),
        leader_route(lambda: LEADER, lambda: True),
        deadman_route(lambda: hello, ended),
        *handing.routes(),
    ]


@asynccontextmanager
async def serving(routes: Sequence[Route], settings: HttpSettings | None = None) -> AsyncIterator[Web]:
    served = Web(routes, "127.0.0.1", 0, access=Access(settings or HttpSettings()))
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


def ask(
    routes: Sequence[Route], settings: HttpSettings, method: str, path: str, authorization: str = "", body: bytes = b""
) -> tuple[int, dict[str, Any], str]:
    async def scenario() -> tuple[int, dict[str, Any], str]:
        headers = {"Authorization": authorization} if authorization else {}
        async with (
            serving(routes, settings) as served,
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, served.url + path, data=body) as reply,
        ):
            return reply.status, await reply.json(), ", ".join(reply.headers.getall("WWW-Authenticate", []))

    return asyncio.run(scenario())
