from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from kmsched.daemon.deadman import GOODBYE
from kmsched.daemon.web import application
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_peers import MAX_CONNECTIONS, MAX_OF_ONE, deadman_route, leader_route
from kmsched.wire.members import Hello

HELLO = Hello(instance="a", boot_id="b1", term=7, lease_id="77")


def serve(leads: bool, story: Callable[[aiohttp.ClientSession, str, asyncio.Event], Awaitable[None]]) -> None:
    async def main() -> None:
        ending = asyncio.Event()
        routes = [leader_route(lambda: {"role": "active"}, lambda: leads), deadman_route(lambda: HELLO, ending)]
        app = application(routes, Access())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with aiohttp.ClientSession() as session:
                await story(session, f"http://{host}:{port}", ending)
        finally:
            ending.set()
            await runner.cleanup()

    asyncio.run(main())


def test_the_leader_answers_200_and_everybody_says_who_it_is() -> None:
    async def ask(session: aiohttp.ClientSession, url: str, _: asyncio.Event) -> None:
        async with session.get(f"{url}/leader") as answer:
            statuses.append(answer.status)
            assert await answer.json() == {"role": "active"}

    statuses: list[int] = []
    serve(True, ask)
    serve(False, ask)
    assert statuses == [200, 503]


def test_the_connection_tells_who_is_there_and_says_goodbye() -> None:
    async def hold(session: aiohttp.ClientSession, url: str, ending: asyncio.Event) -> None:
        async with session.get(f"{url}/deadman") as answer:
            assert json.loads(await answer.content.readline())["boot_id"] == "b1"
            ending.set()
            assert await answer.content.read() == GOODBYE + b"\n"

    serve(True, hold)


def test_connections_are_bounded_for_each_peer_and_those_that_left_make_room() -> None:
    async def many(_: aiohttp.ClientSession, url: str, __: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:

            async def peer(number: int) -> aiohttp.ClientSession:
                connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{number}", 0))
                return await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

            async def status(session: aiohttp.ClientSession) -> int:
                async with session.get(f"{url}/deadman") as answer:
                    return answer.status

            peers = [await peer(number) for number in range(1, MAX_CONNECTIONS // MAX_OF_ONE + 2)]
            *full, last = peers
            held = []
            for each in full:
                held += [await each.get(f"{url}/deadman") for _ in range(MAX_OF_ONE)]
                assert await status(each) == 503
            assert [answer.status for answer in held] == [200] * MAX_CONNECTIONS
            assert await status(last) == 503
            for answer in held:
                answer.close()
            async with asyncio.timeout(10):
                while True:
                    if await status(full[0]) == 200:
                        break
                    await asyncio.sleep(0.01)

    serve(True, many)


def test_only_get() -> None:
    async def post(session: aiohttp.ClientSession, url: str, _: asyncio.Event) -> None:
        for path in ("/leader", "/deadman"):
            async with session.post(url + path) as answer:
                assert answer.status == 405

    serve(True, post)
