"""The page at / in a browser: it fills itself anew, says why it cannot, and runs nothing that it shows."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kmsched.daemon import web_page, web_routes
from kmsched.daemon.web import Web
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_peers import leader_route
from kmsched.daemon.web_routes import Views
from kmsched.http_settings import HttpSettings
from tests.daemon.test_web_page import HOSTILE, Document, shown

BROWSER = (
    "chromium-headless-shell",
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",  # of the page's clock: three times its pause, which pass at once
    "--dump-dom",
)
BROWSER_S = 120
USER = "anybody:secret@"
MARK = re.compile(r'data-refreshed="(\d+)"')


def browsed(given: Views, *options: str, settings: HttpSettings | None = None, user: str = "") -> tuple[str, str]:
    """The document as the browser has it in the end, and what it complained of."""

    async def scenario() -> tuple[str, str]:
        routes = [web_page.route(given), *web_routes.routes(given), leader_route(given.leader, lambda: True)]
        server = Web(routes, "127.0.0.1", 0, access=Access(settings or HttpSettings()))
        await server.start()
        try:
            url = server.url.replace("://", f"://{user}", 1)
            browser = await asyncio.create_subprocess_exec(
                *BROWSER, *options, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(BROWSER_S):
                    said, complained = await browser.communicate()
            finally:
                if browser.returncode is None:
                    browser.kill()
                    await browser.wait()
        finally:
            await server.stop()
        assert browser.returncode == 0, complained.decode()
        return said.decode(), "\n".join(line for line in complained.decode().splitlines() if "CONSOLE" in line)

    return asyncio.run(scenario())


def growing(first: Mapping[str, Any], later: Mapping[str, Any]) -> Callable[[], Mapping[str, Any]]:
    """The first answer once, then the later one."""
    waiting = [first]
    return lambda: waiting.pop() if waiting else later


def field(text: str, name: str) -> str:
    found = re.search(f'<dd data-field="{re.escape(name)}">(.*?)</dd>', text)
    assert found is not None, name
    return found[1]


def test_it_fills_itself_anew_and_runs_nothing_that_it_shows() -> None:
    before = shown()
    pods = {"pods": 7, "reasons": [{"kind": "TaintToleration", "reason": HOSTILE, "pods": 7, "example": HOSTILE}]}
    later = dataclasses.replace(
        before,
        leader=growing(before.leader(), {**before.leader(), "role": "suspended", "reasons": [HOSTILE], "ready": False}),
        pending=growing(before.pending(), pods),
        decisions=lambda: [{"time_s": 1_700_000_001.9, "effect": "BindPod", "subject": HOSTILE}],
    )
    text, complaints = browsed(later)
    assert complaints == ""
    (refreshed,) = MARK.findall(text)
    assert int(refreshed) >= 1
    assert (field(text, "role"), field(text, "ready"), field(text, "pods")) == ("suspended", "no", "7")
    document = Document(text)
    assert {"TaintToleration", "BindPod", "2023-11-14 22:13:21", "and 2 more"} <= set(document.words)
    assert HOSTILE in document.words
    assert [tag for tag, _ in document.tags].count("script") == 1
    assert not [tag for tag, _ in document.tags if tag == "img"]
    assert {attributes["href"] for tag, attributes in document.tags if tag == "a"} == {"http://10.0.0.1:10251"}
    assert ("p", {"id": "stale", "role": "status", "hidden": ""}) in document.tags


@pytest.fixture
def password(tmp_path: Path) -> HttpSettings:
    token = tmp_path / "token"
    token.write_text("secret")
    return HttpSettings(str(token))


def test_filled_anew_with_the_token_as_password_it_says_the_same_words(password: HttpSettings) -> None:
    given = shown()
    text, _ = browsed(given, settings=password, user=USER)
    answers = {"/leader": given.leader(), "/api/v1/agents": given.agents(), "/api/v1/pending": given.pending()}
    answers[web_page.PARTS[-1].url] = {"decisions": given.decisions()[-web_routes.MAX_ON_PAGE :]}
    assert MARK.search(text) is not None
    assert Document(text).words == Document(web_page.rendered(answers)).words


def test_what_cannot_be_filled_anew_says_why(password: HttpSettings) -> None:
    before = shown()
    given = dataclasses.replace(before, agents=growing(before.agents(), {"agents": object()}))
    text, _ = browsed(given, settings=password, user=USER)
    assert MARK.search(text) is None
    (said,) = [word for word in Document(text).words if word.startswith("No answer since")]
    assert "UTC: " in said
    assert {"active", "KillTask"} <= set(Document(text).words), "what was there stays"
