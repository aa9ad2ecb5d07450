"""Rights and certificates of the HTTP server, over real sockets: every route with every kind of token."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kmsched.daemon import profiling, web_routes
from kmsched.daemon.web import Web
from kmsched.daemon.web_access import Access, Right, presented
from kmsched.daemon.web_routes import Route
from kmsched.errors import ConfigRefused
from kmsched.http_settings import HttpSettings, http_settings
from tests.daemon.test_web import views
from tests.daemon.web_servers import ACT, READ, Handing, ask, everything, serving

SHOWN = {"none": None, "wrong": "w" * 32, "read": READ, "act": ACT}


ALLOWED = {Right.OPEN: "none wrong read act", Right.READ: "read act", Right.ACT: "act"}


#: paths of routes with a name in them
FILLED = {"{namespace}/{name}": "default/web", "{name}": "ab01"}


def filled(path: str) -> str:
    for pattern, text in FILLED.items():
        path = path.replace(pattern, text)
    return path


def expected(route: Route, token: str) -> int:
    if token in ALLOWED[route.right].split():
        return 200
    return 403 if route.right is Right.ACT and token == "read" else 401


@pytest.mark.parametrize("token", SHOWN)
def test_every_route_with_every_token(token: str, files: HttpSettings) -> None:
    async def scenario() -> dict[str, tuple[int, int]]:
        routes = everything(Handing())
        found = {}
        headers = {"Authorization": f"Bearer {SHOWN[token]}"} if SHOWN[token] else {}
        async with serving(routes, files) as served, aiohttp.ClientSession(headers=headers) as session:
            for route in routes:
                if route.path == profiling.MEMORY:  # traces nothing here, so it has nothing to tell
                    continue
                async with session.request(route.method, served.url + filled(route.path)) as reply:
                    found[f"{route.method} {route.path}"] = (reply.status, expected(route, token))
                    await reply.read()
                other = "POST" if route.method == "GET" else "GET"
                async with session.request(other, served.url + filled(route.path)) as reply:
                    found[f"{other} {route.path}"] = (reply.status, 405)
                    assert route.method in reply.headers["Allow"]
        return found

    found = asyncio.run(scenario())
    assert {name: status for name, (status, _) in found.items()} == {name: want for name, (_, want) in found.items()}
    assert len(found) >= 26


def test_the_rights_of_all_routes_are_these() -> None:
    rights = {f"{route.method} {route.path}": route.right for route in everything(Handing())}
    assert {name for name, right in rights.items() if right is Right.OPEN} == {
        "GET /healthz",
        "GET /readyz",
        "GET /leader",
        "GET /deadman",
    }
    assert {name for name, right in rights.items() if right is Right.ACT} == {"POST /api/v1/resign"}
    assert all(name.startswith("GET ") == (right is not Right.ACT) for name, right in rights.items())


def test_without_a_read_token_the_pages_are_open_and_without_an_act_token_nothing_acts(files: HttpSettings) -> None:
    handing = Handing()
    routes = everything(handing)
    assert ask(routes, HttpSettings(), "GET", "/api/v1/status")[0] == 200
    for authorization in ("", f"Bearer {ACT}", "Bearer "):
        status, told, _ = ask(routes, HttpSettings(), "POST", "/api/v1/resign", authorization)
        assert status == 403
        assert "--http-act-token-file" in told["error"]
    only_act = HttpSettings(None, files.act_token_file)
    assert ask(routes, only_act, "GET", "/api/v1/status")[0] == 200
    assert ask(routes, only_act, "POST", "/api/v1/resign")[0] == 401
    assert handing.asked == []
    assert ask(routes, only_act, "POST", "/api/v1/resign", f"Bearer {ACT}")[0] == 200


def hosts_and_statuses(settings: HttpSettings, address: str, token: str = "") -> dict[str, int]:
    """Of a page that may be read; by the name that was asked for."""

    async def scenario() -> dict[str, int]:
        found = {}
        served = Web(web_routes.routes(views()), address, 0, access=Access(settings))
        await served.start()
        url = f"http://127.0.0.1:{served.listening.getsockname()[1]}/api/v1/status"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with aiohttp.ClientSession(headers=headers) as session:
                for host in ("127.0.0.1:1", "localhost", "LocalHost.:1", "[::1]:1", "evil.example:1", "127.0.0.1.evil"):
                    async with session.get(url, headers={"Host": host}) as reply:
                        found[host] = reply.status
                async with session.get(url.replace("api/v1/status", "readyz"), headers={"Host": "evil"}) as reply:
                    assert reply.status == 200
        finally:
            await served.stop()
        return found

    return asyncio.run(scenario())


def test_a_site_whose_name_points_at_this_machine_reads_nothing(files: HttpSettings) -> None:
    """A browser on this machine takes the answer for that site's own, and shows it to its scripts."""
    found = hosts_and_statuses(HttpSettings(), "127.0.0.1")
    assert {host for host, status in found.items() if status == 421} == {"evil.example:1", "127.0.0.1.evil"}
    assert set(found.values()) == {200, 421}
    # it has no token; and who listens for others is called by names that are not known here
    assert set(hosts_and_statuses(files, "127.0.0.1", READ).values()) == {200}
    assert set(hosts_and_statuses(HttpSettings(), "0.0.0.0").values()) == {200}


def test_browsers_read_with_a_password_and_never_act_with_it(files: HttpSettings) -> None:
    routes = everything(Handing())
    status, _, challenge = ask(routes, files, "GET", "/api/v1/status")
    assert (status, challenge) == (401, 'Bearer realm="kmsched", Basic realm="kmsched"')
    basic = "Basic " + base64.b64encode(f"anybody:{ACT}".encode()).decode()
    assert ask(routes, files, "GET", "/api/v1/status", basic)[0] == 200
    status, _, challenge = ask(routes, files, "POST", "/api/v1/resign", basic)
    assert (status, challenge) == (401, 'Bearer realm="kmsched"')


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic " + base64.b64encode(b"u:a:b").decode(), "a:b"),
        ("Basic !!!", ""),
        ("Basic " + base64.b64encode(b"\xff\xff").decode(), ""),
        ("Basic \xfc", ""),
        ("Basic \udcff", ""),
        ("Digest abc", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_what_a_header_presents(header: str, token: str) -> None:
    assert presented(header, takes_basic=True) == token


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; put the token there"),
        (b" \n", "is empty"),
        (b"two words", "is no token: one word"),
        (b"\xff", "cannot read"),
        (b"x" * 5000, "is no token"),
        (ACT.encode(), "hold the same token"),
        (None, "No such file"),
    ],
)
def test_token_files_that_protect_nothing_are_refused(files: HttpSettings, content: bytes | None, words: str) -> None:
    path = Path(files.read_token_file or "")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigRefused, match=words) as refused:
        Access(files)
    assert "--http-read-token-file" in str(refused.value)


def test_tokens_are_read_anew_and_a_bad_file_keeps_the_old_ones(files: HttpSettings) -> None:
    access = Access(files)
    path = Path(files.act_token_file or "")
    path.write_text("new-token")
    assert access.reload() == []
    assert access.refusal(Right.ACT, "Bearer new-token") is None
    assert access.refusal(Right.ACT, f"Bearer {ACT}") is not None
    path.write_text("")
    (kept,) = access.reload()
    assert "the tokens stay as they were: --http-act-token-file" in kept
    assert access.refusal(Right.ACT, "Bearer new-token") is None
    assert access.refusal(Right.ACT, "Bearer ") is not None


def test_half_a_pair_is_refused() -> None:
    given: dict[str, Any] = dict.fromkeys(
        ("http-read-token-file", "http-act-token-file", "http-tls-cert-file", "http-tls-key-file", "http-tls-ca-file")
    )
    assert http_settings(given) == HttpSettings()
    with pytest.raises(ConfigRefused, match="go together"):
        http_settings({**given, "http-tls-cert-file": "/c"})
