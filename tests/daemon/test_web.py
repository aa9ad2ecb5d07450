"""The pages, over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from kmsched.daemon.web import Web
from kmsched.daemon.web_routes import Views, routes
from kmsched.errors import EXIT_CONFIG, ConfigRefused, NotFound, Unavailable

SPECS = [{"fingerprint": "ab01", "spec": {}}, {"fingerprint": "ab02", "spec": {}}]
POD = {"pod": "default/web", "state": "pending"}


def pod(key: str) -> Mapping[str, Any]:
    if key == "early/web":
        raise Unavailable("nothing is known of early/web yet")
    if key != "default/web":
        raise NotFound(f"no pod {key} is known; there is default/web")
    return POD


def views(ready: bool = True, alive: bool = True) -> Views:
    return Views(
        is_alive=lambda: alive,
        readiness=lambda: {"ready": ready, "reasons": [] if ready else ["nodes are not listed yet"], "role": "leader"},
        metrics=lambda: b"kmsched_ready 1.0\n",
        status=lambda: {"link": "active"},
        pod=pod,
        pods=lambda part, states, namespace: {"pods": [[*part, sorted(states), namespace]], "next": None},
        decisions=lambda: [{"effect": "ReviveOffers"}],
        pending=lambda: {"pods": 0, "reasons": []},
        agents=lambda: {"agents": []},
        offers=lambda part: {"agents": [[*part]], "next": None},
        executors=lambda: {"executors": [{"fingerprint": "ab01"}]},
        executor=lambda prefix: [each for each in SPECS if str(each["fingerprint"]).startswith(prefix)],
        leader=lambda: {"role": "active", "leader": None, "members": []},
    )


def with_web(given: Views, check: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def scenario() -> None:
        web = Web(routes(given), "127.0.0.1", 0)
        await web.start()
        try:
            async with aiohttp.ClientSession() as session:
                await check(session, web.url)
        finally:
            await web.stop()

    asyncio.run(scenario())


async def get(session: aiohttp.ClientSession, url: str, method: str = "GET") -> tuple[int, Any]:
    async with session.request(method, url) as reply:
        content: Any = await (reply.json() if reply.content_type == "application/json" else reply.text())
        return reply.status, content


def test_every_page_answers() -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        assert await get(session, f"{url}/healthz") == (200, "ok\n")
        assert await get(session, f"{url}/readyz") == (200, {"ready": True, "reasons": [], "role": "leader"})
        assert await get(session, f"{url}/metrics") == (200, "kmsched_ready 1.0\n")
        assert await get(session, f"{url}/api/v1/status") == (200, {"link": "active"})
        assert await get(session, f"{url}/api/v1/pods/default/web") == (200, POD)
        assert await get(session, f"{url}/api/v1/decisions") == (200, {"decisions": [{"effect": "ReviveOffers"}]})
        assert await get(session, f"{url}/api/v1/pending") == (200, {"pods": 0, "reasons": []})
        assert await get(session, f"{url}/api/v1/agents") == (200, {"agents": []})
        assert await get(session, f"{url}/api/v1/executors") == (200, {"executors": [{"fingerprint": "ab01"}]})
        assert await get(session, f"{url}/api/v1/executors/ab02") == (200, SPECS[1])

    with_web(views(), check)


def test_what_is_not_ready_or_not_alive_says_so_with_503() -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        status, answer = await get(session, f"{url}/readyz")
        assert (status, answer["reasons"]) == (503, ["nodes are not listed yet"])
        assert await get(session, f"{url}/healthz") == (503, "the loop does not turn\n")

    with_web(views(ready=False, alive=False), check)


def test_what_is_not_there_and_what_is_not_allowed_is_told_as_json() -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        status, answer = await get(session, f"{url}/api/v1/pods/default/other")
        assert status == 404
        assert answer["error"] == "no pod default/other is known; there is default/web"
        status, answer = await get(session, f"{url}/api/v1/pods/early/web")
        assert (status, answer["error"]) == (503, "nothing is known of early/web yet")
        status, answer = await get(session, f"{url}/api/v1/executors/cd")
        assert status == 404
        assert "no executor spec cd is known" in answer["error"]
        status, answer = await get(session, f"{url}/api/v1/executors/ab")
        assert (status, answer["error"]) == (409, "ab is the beginning of 2 executor specs: ab01, ab02")
        assert await get(session, f"{url}/nowhere") == (404, {"error": "GET /nowhere: Not Found"})
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert (await get(session, f"{url}/api/v1/status", method))[0] == 405

    with_web(views(), check)


def test_lists_are_told_in_parts_and_may_be_asked_for_by_state_and_namespace() -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        for query, asked in (
            ("", [100, "", [], ""]),
            ("?limit=3&after=ns/web", [3, "ns/web", [], ""]),
            ("?state=pending,orphaned&namespace=ns", [100, "", ["orphaned", "pending"], "ns"]),
        ):
            assert await get(session, f"{url}/api/v1/pods{query}") == (200, {"pods": [asked], "next": None})
        assert await get(session, f"{url}/api/v1/offers?limit=1000") == (200, {"agents": [[1000, ""]], "next": None})

    with_web(views(), check)


@pytest.mark.parametrize("limit", ["0", "-1", "many", "", "%C2%B2", "1%0A2"])
def test_a_limit_that_is_no_number_is_refused(limit: str) -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        for path in ("pods", "offers", "decisions"):
            status, answer = await get(session, f"{url}/api/v1/{path}?limit={limit}")
            assert status == 400
            assert "is no number above 0; so many are told" in answer["error"]

    with_web(views(), check)


def test_a_part_that_is_too_large_and_a_state_that_there_is_not_are_refused_by_name() -> None:
    async def check(session: aiohttp.ClientSession, url: str) -> None:
        status, answer = await get(session, f"{url}/api/v1/pods?limit=1001")
        assert status == 400
        assert answer["error"].endswith("limit=1001 is too much; give at most 1000, and ask on with after=")
        status, answer = await get(session, f"{url}/api/v1/pods?state=pending,lost")
        assert status == 400
        assert "state='lost' is none; there are adopting, binding, bound," in answer["error"]
        assert "gone" not in answer["error"]

    with_web(views(), check)


def test_a_port_in_use_is_refused_by_name() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            web = Web(routes(views()), "127.0.0.1", port)
            with pytest.raises(ConfigRefused, match=f"cannot listen on 127.0.0.1:{port}: Address already") as refusal:
                await web.start()
            assert refusal.value.exit_code == EXIT_CONFIG
            await web.stop()

    asyncio.run(scenario())


def test_an_address_that_is_not_ours_is_refused_by_name() -> None:
    async def scenario() -> None:
        web = Web(routes(views()), "192.0.2.1", 0)
        with pytest.raises(ConfigRefused, match=r"--address=192\.0\.2\.1"):
            await web.start()
        await web.stop()

    asyncio.run(scenario())
