"""The pages behind --profiling: there only when asked for, and tracing ends with them."""

from __future__ import annotations

import asyncio
import tracemalloc

import aiohttp
import pytest

from kmsched.daemon.profiling import MEMORY, STACKS
from kmsched.daemon.web import Web
from kmsched.daemon.web_routes import routes
from tests.daemon.test_web import views


async def pages(profiling: bool) -> dict[str, tuple[int, str]]:
    web = Web(routes(views()), "127.0.0.1", 0, profiling=profiling)
    await web.start()
    waiting = asyncio.create_task(asyncio.Event().wait(), name="the-one-that-waits")
    found = {}
    try:
        async with aiohttp.ClientSession() as session:
            for path in (STACKS, MEMORY):
                async with session.get(f"{web.url}{path}") as reply:
                    found[path] = (reply.status, await reply.text())
    finally:
        waiting.cancel()
        await web.stop()
    return found


def test_stacks_and_memory() -> None:
    found = asyncio.run(pages(True))
    assert {status for status, _ in found.values()} == {200}
    assert "the-one-that-waits" in found[STACKS][1]
    assert "Thread MainThread:" in found[STACKS][1]
    held, first, *_ = found[MEMORY][1].splitlines()
    assert "MiB held since the start of tracing" in held
    assert "KiB" in first
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize("path", [STACKS, MEMORY])
def test_without_the_flag_there_is_nothing(path: str) -> None:
    assert asyncio.run(pages(False))[path][0] == 404
