from __future__ import annotations

import asyncio

import pytest

from kmsched.clients.http import Request, excerpt, within
from kmsched.errors import Unavailable
from tests.clients.fakes import FakeClock


def test_excerpts_are_one_bounded_line() -> None:
    assert excerpt(b" two\nlines\t") == "two lines"
    assert excerpt(b"x" * 600) == "x" * 500 + "…"
    assert excerpt(b"") == "(nothing)"
    assert excerpt(b"\xff") == "\N{REPLACEMENT CHARACTER}"


def test_hosts_are_shown_without_credentials() -> None:
    assert Request("GET", "https://me:secret@h:1/x").host == "h:1"


def test_work_in_time_gives_its_result_and_leaves_the_clock() -> None:
    async def scenario() -> tuple[str, list[float]]:
        clock = FakeClock()
        return await within(clock, 5, asyncio.sleep(0, "done"), "late"), clock.slept

    assert asyncio.run(scenario()) == ("done", [])


def test_late_work_is_cancelled_and_told() -> None:
    async def scenario() -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())
        with pytest.raises(Unavailable, match="the words given"):
            await within(FakeClock(), 5, work, "the words given")
        assert work.cancelled()

    asyncio.run(scenario())


def test_errors_of_the_work_come_through() -> None:
    async def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(within(FakeClock(), 5, fail(), "late"))


def test_a_cancelled_wait_cancels_the_work() -> None:
    async def scenario() -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())
        waiting = asyncio.create_task(within(FakeClock(), 5, work, "late"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.cancelled()

    asyncio.run(scenario())
