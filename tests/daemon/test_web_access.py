"""Rights and certificates of the HTTP server, over real sockets: every route with every kind of token."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.clock import SystemClock
from kmsched.daemon import profiling, web_acts, web_routes
from kmsched.daemon.deadman import DeadMan
from kmsched.daemon.web import Web, application
from kmsched.daemon.web_access import Access, Right, presented
from kmsched.daemon.web_acts import Acts
from kmsched.daemon.web_peers import deadman_route, leader_route
from kmsched.daemon.web_routes import Route
from kmsched.errors import ConfigRefused, NotHandedOver
from kmsched.http_settings import HttpSettings, http_settings
from kmsched.wire.members import Hello, Leader
from tests.daemon.certificates import certificate
from tests.daemon.test_web import views

READ, ACT = "r" * 32, "a" * 32
LEADER = {"role": "standby", "leader": {"instance": "a", "url": "http://10.0.0.1:1", "boot_id": "b"}}
ENDED = asyncio.Event()
ENDED.set()


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
    return [
        *web_routes.routes(views()),
        *profiling.routes(),
        leader_route(lambda: LEADER, lambda: True),
        deadman_route(lambda: hello, ENDED),
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


@pytest.fixture
def files(tmp_path: Path) -> HttpSettings:
    (tmp_path / "read").write_text(READ + "\n")
    (tmp_path / "act").write_text(ACT + "\n")
    return HttpSettings(str(tmp_path / "read"), str(tmp_path / "act"))


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


def test_a_certificate_is_rotated_and_a_bad_one_keeps_the_old(tmp_path: Path) -> None:
    first, second = certificate(tmp_path, "first"), certificate(tmp_path, "second")
    cert, key = tmp_path / "cert", tmp_path / "key"

    def use(pair: tuple[str, str]) -> None:
        for source, target in zip(pair, (cert, key), strict=True):
            target.write_bytes(Path(source).read_bytes())

    async def shows(served: Web, pair: tuple[str, str]) -> bool:
        """Whether a client that trusts this certificate alone gets an answer."""
        async with aiohttp.ClientSession() as session:
            try:
                trusting = ssl.create_default_context(cafile=pair[0])
                async with session.get(f"{served.url}/healthz", ssl=trusting) as reply:
                    return reply.status == 200
            except aiohttp.ClientConnectorCertificateError:
                return False

    async def scenario() -> None:
        use(first)
        settings = HttpSettings(cert_file=str(cert), key_file=str(key))
        async with serving(web_routes.routes(views()), settings) as served:
            assert served.url.startswith("https://127.0.0.1:")
            assert [await shows(served, each) for each in (first, second)] == [True, False]
            use((second[0], first[1]))
            (kept,) = served.access.reload()
            assert "the certificate stays as it was" in kept
            assert "not a matching PEM pair" in kept
            assert await shows(served, first)
            key.unlink()
            assert "--http-tls-key-file: cannot read" in served.access.reload()[0]
            use(second)
            assert served.access.reload() == []
            assert [await shows(served, each) for each in (first, second)] == [False, True]

    asyncio.run(scenario())


def test_the_dead_mans_connection_over_tls_tells_a_death_and_takes_a_new_authority(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "leader")
    authority, trusted = tmp_path / "ca", Path(cert).read_bytes()
    authority.write_bytes(Path(certificate(tmp_path, "stranger")[0]).read_bytes())
    hello = Hello(instance="a", boot_id="b1", term=7, lease_id="77")

    async def scenario() -> list[int]:
        connected, revoked = asyncio.Event(), asyncio.Queue[int]()

        def greet() -> Hello:
            connected.set()
            return hello

        async def revoke(lease_id: int) -> bool:
            revoked.put_nowait(lease_id)
            return True

        access = Access(HttpSettings(cert_file=cert, key_file=key))
        routes = [leader_route(lambda: {**msgspec.to_builtins(hello)}, lambda: True)]
        app = application([*routes, deadman_route(greet, asyncio.Event())], access)
        runner = web.AppRunner(app, shutdown_timeout=0.05, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=access.tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        leader = Leader(
            instance="a",
            boot_id="b1",
            url=f"https://{host}:{port}",
            since_s=0.0,
            term_at_least=7,
            lease_id="77",
            fingerprint="f",
            version="0",
        )
        trust = TlsSettings(ca_file=str(authority))
        peers = RenewedTransport(AiohttpTransport(trust))
        watching = asyncio.create_task(DeadMan(lambda: leader, revoke, peers, SystemClock()).run())
        try:
            authority.write_bytes(trusted)
            peers.renew(AiohttpTransport(trust))
            await connected.wait()
            await runner.cleanup()
            return [await revoked.get()]
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await peers.close()

    assert asyncio.run(scenario()) == [77]


def test_half_a_pair_is_refused() -> None:
    given: dict[str, Any] = dict.fromkeys(
        ("http-read-token-file", "http-act-token-file", "http-tls-cert-file", "http-tls-key-file", "http-tls-ca-file")
    )
    assert http_settings(given) == HttpSettings()
    with pytest.raises(ConfigRefused, match="go together"):
        http_settings({**given, "http-tls-cert-file": "/c"})


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
