"""Those who hold connections, say nothing, or say what is no HTTP: over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from kmsched.daemon.web import Web
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_connections import IDLE_S, MAX_CONNECTIONS, MAX_OF_ONE, refusal
from kmsched.daemon.web_routes import routes
from kmsched.http_settings import HttpSettings
from tests.daemon.certificates import certificate
from tests.daemon.test_web import views

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: from an address of this machine
Connect = Callable[[str], Awaitable[Streams]]

US, OTHER = "127.0.0.1", "127.0.0.2"
ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def play(story: Callable[[Connect], Awaitable[None]], idle_s: float = IDLE_S, access: Access | None = None) -> None:
    async def main() -> None:
        served, opened = Web(routes(views()), US, 0, idle_s=idle_s, access=access), list[asyncio.StreamWriter]()
        await served.start()
        port = served.listening.getsockname()[1]

        async def connect(address: str) -> Streams:
            reader, writer = await asyncio.open_connection(US, port, local_addr=(address, 0))
            opened.append(writer)
            return reader, writer

        try:
            await story(connect)
        finally:
            for each in opened:
                each.close()
            await served.stop()

    asyncio.run(main())


async def first_line(connect: Connect, address: str, asked: bytes = ASKED) -> bytes:
    """Nothing: the connection was ended."""
    reader, writer = await connect(address)
    try:
        writer.write(asked)
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_one_address_cannot_take_all_connections() -> None:
    async def story(connect: Connect) -> None:
        held = [await connect(US) for _ in range(MAX_OF_ONE)]
        assert await first_line(connect, US) == b""
        assert await first_line(connect, OTHER) == b"HTTP/1.1 200 OK\r\n"
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            while True:
                if await first_line(connect, US):
                    break
                await asyncio.sleep(0.01)

    play(story, idle_s=600)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], ""),
        (["a"] * (MAX_OF_ONE - 1) + ["b"] * 200, ""),
        (["a"] * MAX_OF_ONE, f"{MAX_OF_ONE} connections from a are open already"),
        ([str(each) for each in range(MAX_CONNECTIONS)], f"{MAX_CONNECTIONS} connections are open already"),
    ],
)
def test_why_one_is_not_let_in(others: list[str], words: str) -> None:
    assert refusal("a", others) == words


@pytest.mark.parametrize(
    ("said", "is_tls"), [(b"", False), (b"GET /healthz HTTP/1.1\r\nX: ", False), (b"", True), (b"\x16\x03\x01", True)]
)
def test_one_that_says_nothing_whole_is_ended(said: bytes, is_tls: bool, tmp_path: Path) -> None:
    pair = certificate(tmp_path, "server") if is_tls else (None, None)
    access = Access(HttpSettings(cert_file=pair[0], key_file=pair[1]))

    async def story(connect: Connect) -> None:
        reader, writer = await connect(US)
        writer.write(said)
        assert await reader.read() == b""

    play(story, 0.05, access)


def test_what_is_no_request_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def story(connect: Connect) -> None:
        for asked in (b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"):
            assert b"400 Bad Request" in await first_line(connect, US, asked)

    with caplog.at_level(logging.INFO):
        play(story)
    assert caplog.messages == []


def test_who_reads_without_end_leaves_the_loop_time_for_everything_else() -> None:
    """Else pages would keep a leader from renewing its lease."""
    order: list[str] = []

    def metrics() -> bytes:
        order.append("page")
        time.sleep(0.001)
        return b""

    async def main() -> None:
        served = Web(routes(dataclasses.replace(views(), metrics=metrics)), US, 0)
        await served.start()

        async def tick() -> None:
            while True:
                order.append("tick")
                await asyncio.sleep(0)

        async def read(session: aiohttp.ClientSession) -> None:
            async with session.get(f"{served.url}/metrics") as reply:
                assert reply.status == 200

        ticking = asyncio.create_task(tick())
        try:
            async with aiohttp.ClientSession() as session:
                await asyncio.gather(*(read(session) for _ in range(20)))
        finally:
            ticking.cancel()
            await served.stop()

    asyncio.run(main())
    assert order.count("page") == 20
    assert ("page", "page") not in itertools.pairwise(order)
