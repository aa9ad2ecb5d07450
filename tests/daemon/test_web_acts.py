"""Acting over HTTP: who may, what a request must be, and one at a time."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from kmsched.http_settings import HttpSettings
from tests.daemon.web_servers import ACT, Handing, ask, serving

BEARER = f"Bearer {ACT}"


@pytest.mark.parametrize(
    ("handing", "body", "status", "told"),
    [
        (Handing(), b"", 200, {"leads_next": "b"}),
        (Handing(), b'{"to": "c"}', 200, {"leads_next": "c"}),
        (Handing(refusal="nobody could lead"), b"{}", 409, {"error": "nobody could lead"}),
        (
            Handing(leads=False),
            b"{}",
            409,
            {
                "error": "this scheduler does not lead (standby); a does, at http://10.0.0.1:1",
                "leader": {"instance": "a", "url": "http://10.0.0.1:1"},
            },
        ),
    ],
)
def test_resigning(handing: Handing, body: bytes, status: int, told: object, files: HttpSettings) -> None:
    assert ask(handing.routes(), files, "POST", "/api/v1/resign", BEARER, body)[:2] == (status, told)
    assert len(handing.asked) == (1 if handing.leads else 0)
    if handing.asked:
        assert handing.asked[0] == ("POST /api/v1/resign from 127.0.0.1", json.loads(body or b"{}").get("to"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"to": 1}', b'{"too": "b"}', b"\xff"])
def test_a_request_that_is_none_changes_nothing(body: bytes, files: HttpSettings) -> None:
    handing = Handing()
    status, told, _ = ask(handing.routes(), files, "POST", "/api/v1/resign", BEARER, body)
    assert status == 400
    assert '{"to": "INSTANCE"}' in told["error"]
    assert ask(handing.routes(), files, "POST", "/api/v1/resign", BEARER, b" " * 100_000)[0] == 413
    assert handing.asked == []


def test_a_body_that_cannot_be_read_is_refused(files: HttpSettings) -> None:
    async def scenario() -> tuple[int, str]:
        headers = {"Authorization": BEARER, "Content-Encoding": "gzip"}
        async with (
            serving(Handing().routes(), files) as served,
            aiohttp.ClientSession(headers=headers, auto_decompress=False) as session,
            session.post(f"{served.url}/api/v1/resign", data=b"abc") as reply,
        ):
            return reply.status, (await reply.json())["error"]

    status, error = asyncio.run(scenario())
    assert status == 400
    assert "the body cannot be read" in error


def test_one_at_a_time_and_one_that_has_begun_goes_on_alone(files: HttpSettings) -> None:
    async def scenario() -> None:
        handing = Handing()
        handing.may_go_on.clear()
        async with (
            serving(handing.routes(), files) as served,
            aiohttp.ClientSession(headers={"Authorization": BEARER}) as session,
        ):
            first = asyncio.create_task(session.post(f"{served.url}/api/v1/resign"))
            await handing.was_asked.wait()
            first.cancel()
            async with session.post(f"{served.url}/api/v1/resign") as second:
                assert second.status == 409
            handing.may_go_on.set()
            while True:
                async with session.post(f"{served.url}/api/v1/resign") as third:
                    if third.status == 200:
                        break
            assert len(handing.asked) == 2

    asyncio.run(scenario())
