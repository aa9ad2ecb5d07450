"""The page at /, as text: what it says without scripts, and that nothing it shows is markup."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest

from kmsched.daemon import web_page, web_routes
from kmsched.daemon.web import Web
from kmsched.daemon.web_page import HEADERS, PARTS, Rows, at, rendered, written
from kmsched.daemon.web_peers import leader_route
from kmsched.daemon.web_routes import MAX_ON_PAGE, Views
from tests.daemon.test_web import views

HOSTILE = "default/<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>"


def shown(**more: Any) -> Views:
    """A leader with one of everything, each with a hostile name."""
    leader = {
        "role": "active",
        "ready": True,
        "reasons": [],
        "instance": "s1",
        "term": 12,
        "since_s": 1_700_000_000.7,
        "leader": {"instance": "s1", "url": "http://10.0.0.1:10251"},
        "framework_id": HOSTILE,
        "members": [
            {"instance": "s1", "role": "active", "is_synced": True, "url": "http://10.0.0.1:10251"},
            {"instance": HOSTILE, "role": "standby", "is_synced": False, "url": "javascript:alert(3)"},
        ],
    }
    agent = {"hostname": HOSTILE, "compatible": False, "pods": 3, "resources": {"held": {"cpus": 0.25}}}
    decision = {"time_s": 1_700_000_000.5, "effect": "KillTask", "subject": HOSTILE, "reason": "gone", "cause": "c"}
    facts: dict[str, Any] = {
        "leader": lambda: leader,
        "agents": lambda: {"agents": [agent] * (MAX_ON_PAGE + 2)},
        "pending": lambda: {"pods": 2, "reasons": [{"kind": "offers", "reason": "few", "pods": 2, "example": HOSTILE}]},
        "decisions": lambda: [{**decision, "reason": f"r{n}"} for n in range(MAX_ON_PAGE + 10)],
    }
    return dataclasses.replace(views(), **{**facts, **more})


class Document(HTMLParser):
    """Tags with their attributes, and what is text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and self._inside[-1:] not in (["style"], ["script"]):
            self.words.append(data.strip())


def fetched(given: Views, path: str = "/") -> tuple[int, str, dict[str, str]]:
    async def scenario() -> tuple[int, str, dict[str, str]]:
        routes = [web_page.route(given), *web_routes.routes(given), leader_route(given.leader, lambda: True)]
        server = Web(routes, "127.0.0.1", 0)
        await server.start()
        try:
            async with aiohttp.ClientSession() as session, session.get(server.url + path) as reply:
                return reply.status, await reply.text(), dict(reply.headers)
        finally:
            await server.stop()

    return asyncio.run(scenario())


def test_it_says_all_of_it_without_scripts() -> None:
    status, text, headers = fetched(shown())
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    document = Document(text)
    assert {part.title for part in PARTS} <= set(document.words)
    for words in (
        "active",
        "2023-11-14 22:13:20",
        "12",
        "offers",
        "few",
        "and 2 more",
        "0.25",
        "KillTask",
        "no",
        "yes",
    ):
        assert words in document.words
    reasons = [each for each in document.words if re.fullmatch(r"r\d+", each)]
    assert reasons == [f"r{n}" for n in range(MAX_ON_PAGE + 9, 9, -1)], "the newest come first"
    assert ("meta", {"http-equiv": "refresh", "content": "3"}) in document.tags
    assert document.words.count(HOSTILE) == 1 + 1 + MAX_ON_PAGE + 1 + MAX_ON_PAGE


def test_nothing_that_is_shown_is_markup() -> None:
    _, text, _ = fetched(shown())
    tags = Document(text).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert not [tag for tag, _ in tags if tag in ("img", "iframe", "object", "link", "form")]
    assert {name for _, attributes in tags for name in attributes if name.startswith("on")} == set()
    assert {attributes["href"] for tag, attributes in tags if tag == "a"} == {"http://10.0.0.1:10251"}
    assert not [attributes for _, attributes in tags if "src" in attributes or "style" in attributes]


def test_its_policy_lets_in_its_own_style_and_script_alone() -> None:
    _, text, headers = fetched(shown())
    policy = headers["Content-Security-Policy"]
    assert policy == HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_part_comes_from_a_route() -> None:
    for part in PARTS:
        status, text, _ = fetched(shown(), part.url)
        assert status == 200
        if isinstance(part, Rows):
            assert f'"{part.key}"' in text


def test_a_scheduler_that_has_just_started_has_a_page() -> None:
    document = Document(fetched(views())[1])
    assert document.words.count("–") >= 5
    assert rendered({part.url: {} for part in PARTS}).count("<tr>") == 4


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", ""])
def test_a_limit_is_a_number(limit: str) -> None:
    assert fetched(shown(), f"/api/v1/decisions?limit={limit}")[0] == 400


def test_the_newest_so_many_decisions() -> None:
    text = fetched(shown(), "/api/v1/decisions?limit=2")[1]
    assert re.findall(r'"r\d+"', text) == ['"r58"', '"r59"']


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("x", None, "–"),
        ("x", "", "–"),
        ("x", [], "–"),
        ("x", False, "no"),
        ("x", 0, "0"),
        ("x", 2.0, "2"),
        ("x", 0.1, "0.1"),
        ("x", ["a", True], "a, yes"),
        ("t_s", 0, "1970-01-01 00:00:00"),
        ("t_s", 1e30, "–"),
    ],
)
def test_how_values_are_written(path: str, value: Any, text: str) -> None:
    assert written(path, value) == text


def test_paths() -> None:
    assert at("a.b", {"a": {"b": 1}}) == 1
    assert at("a.b", {"a": [1]}) is None
    assert at("a", None) is None
