from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings, ssl_context
from kmsched.clients.http import Request
from kmsched.errors import ConfigRefused, NobodyListens, Unavailable
from tests.clients.pki import Pki

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    server = web.Server(handler, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport(tls: TlsSettings | None = None, max_body_bytes: int = 1000) -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(tls, max_body_bytes=max_body_bytes)
    try:
        yield made
    finally:
        await made.close()


async def echo(request: web.BaseRequest) -> web.Response:
    body = await request.read()
    return web.Response(status=202, body=request.method.encode() + b" " + body, headers={"X-Seen": "Yes"})


async def hang(request: web.BaseRequest) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError("the client leaves first")


def chunked(*pieces: bytes, then: str = "end") -> Handler:
    """The pieces one by one; `then` the body ends, the connection breaks, or nothing more comes."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Mesos-Stream-Id": "s1"})
        await reply.prepare(request)
        for piece in pieces:
            await reply.write(piece)
        if then == "break":
            assert request.transport is not None
            request.transport.abort()
        elif then == "silence":
            await asyncio.sleep(60)
        return reply

    return handler


def test_a_call_brings_status_headers_and_body() -> None:
    async def scenario() -> None:
        async with serving(echo) as url, transport() as http:
            reply = await http.call(Request("PUT", url + "/x", {"a": "b"}, b"body"), deadline_s=5)
            assert (reply.status, reply.body, reply.headers["x-seen"]) == (202, b"PUT body", "Yes")

    asyncio.run(scenario())


def test_redirects_are_not_followed() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=307, headers={"Location": "//elsewhere:1/x"})

    async def scenario() -> None:
        async with serving(handler) as url, transport() as http:
            reply = await http.call(Request("POST", url), deadline_s=5)
            assert (reply.status, reply.headers["location"]) == (307, "//elsewhere:1/x")
            async with http.stream(Request("POST", url), connect_s=5, idle_s=5) as stream:
                assert (stream.status, stream.headers["location"]) == (307, "//elsewhere:1/x")

    asyncio.run(scenario())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://127.0.0.1:{closed_port()}", "no connection: Connection refused"),
        ("http://no-such-host.invalid:1", "no-such-host.invalid:1: the name does not resolve"),
        ("http://", "not a usable URL"),
        ("mesos", "not a usable URL"),
    ],
)
def test_unreachable_servers_are_named(url: str, words: str) -> None:
    async def scenario() -> None:
        async with transport() as http:
            with pytest.raises(Unavailable, match=words):
                await http.call(Request("GET", url), deadline_s=5)
            with pytest.raises(Unavailable, match=words):
                async with http.stream(Request("GET", url), connect_s=5, idle_s=5):
                    pass

    asyncio.run(scenario())


def test_a_server_that_never_answers_meets_the_deadline() -> None:
    async def scenario() -> None:
        async with serving(hang) as url, transport() as http:
            with pytest.raises(Unavailable, match=r"127.0.0.1:\d+ did not answer within 0.05 s"):
                await http.call(Request("GET", url), deadline_s=0.05)
            with pytest.raises(Unavailable, match=r"127.0.0.1:\d+ did not answer within 0.05 s"):
                async with http.stream(Request("GET", url), connect_s=0.05, idle_s=5):
                    pass

    asyncio.run(scenario())


def test_a_body_that_stalls_meets_the_deadline() -> None:
    async def scenario() -> None:
        async with serving(chunked(b"x", then="silence")) as url, transport() as http:
            with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
                await http.call(Request("GET", url), deadline_s=0.05)

    asyncio.run(scenario())


def test_a_refused_connection_is_told_from_every_other_failure() -> None:
    async def main() -> None:
        async with transport() as client:
            with pytest.raises(NobodyListens):
                await client.call(Request("GET", f"http://127.0.0.1:{closed_port()}"), deadline_s=5)
            with pytest.raises(Unavailable) as caught:
                await client.call(Request("GET", "http://no.such.host.invalid:1"), deadline_s=5)
            assert not isinstance(caught.value, NobodyListens)

    asyncio.run(main())


def test_a_body_above_the_bound_is_refused() -> None:
    async def scenario() -> None:
        async with serving(chunked(b"x" * 500, b"y" * 500)) as url, transport() as http:
            assert len((await http.call(Request("GET", url), deadline_s=5)).body) == 1000
        async with serving(chunked(b"x" * 500, b"y" * 501)) as url, transport() as http:
            with pytest.raises(Unavailable, match="answered with more than 1000 bytes"):
                await http.call(Request("GET", url), deadline_s=5)

    asyncio.run(scenario())


def test_a_stream_brings_all_chunks_and_ends() -> None:
    async def scenario() -> None:
        async with serving(chunked(b"one", b"two")) as url, transport() as http:
            async with http.stream(Request("POST", url), connect_s=5, idle_s=5) as stream:
                assert (stream.status, stream.headers["mesos-stream-id"]) == (200, "s1")
                assert b"".join([chunk async for chunk in stream.chunks()]) == b"onetwo"
            async with http.stream(Request("POST", url), connect_s=5, idle_s=5) as stream:
                assert await stream.read(4) == b"onet"

    asyncio.run(scenario())


def test_a_silent_stream_meets_its_idle_limit() -> None:
    async def scenario() -> None:
        async with serving(chunked(b"one", then="silence")) as url, transport() as http:
            got = []
            with pytest.raises(Unavailable, match=r"was silent for 0\.05 s"):
                async with http.stream(Request("POST", url), connect_s=5, idle_s=0.05) as stream:
                    async for chunk in stream.chunks():
                        got.append(chunk)
            assert got == [b"one"]

    asyncio.run(scenario())


def test_a_broken_connection_is_told() -> None:
    async def scenario() -> None:
        async with serving(chunked(b"one", then="break")) as url, transport() as http:
            with pytest.raises(Unavailable, match="the connection broke"):
                async with http.stream(Request("POST", url), connect_s=5, idle_s=5) as stream:
                    assert [chunk async for chunk in stream.chunks()] == [b"one"]
            with pytest.raises(Unavailable, match="the connection broke"):
                await http.call(Request("GET", url), deadline_s=5)

    asyncio.run(scenario())


def test_a_server_that_speaks_no_http_is_told() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server, transport() as http:
            with pytest.raises(Unavailable, match=f"{host}:{port}: the answer is no HTTP"):
                await http.call(Request("GET", f"http://{host}:{port}"), deadline_s=5)

    asyncio.run(scenario())


async def who(request: web.BaseRequest) -> web.Response:
    assert request.transport is not None
    shown = request.transport.get_extra_info("peercert") or {}
    names = [value for ((name, value),) in shown.get("subject", ()) if name == "commonName"]
    return web.Response(text=names[0] if names else "nobody")


@pytest.mark.parametrize("inline", [False, True])
def test_tls_with_an_own_authority_and_a_client_certificate(pki: Pki, inline: bool) -> None:
    if inline:
        tls = TlsSettings(ca_data=pki.text("ca.crt"), cert_data=pki.text("client.crt"), key_data=pki.text("client.key"))
    else:
        tls = TlsSettings(ca_file=pki.path("ca.crt"), cert_file=pki.path("client.crt"), key_file=pki.path("client.key"))

    async def scenario() -> None:
        async with serving(who, pki.server()) as url, transport(tls) as http:
            assert (await http.call(Request("GET", url), deadline_s=5)).body == b"client"

    asyncio.run(scenario())


def test_a_server_of_another_authority_is_unavailable_with_words(pki: Pki) -> None:
    async def scenario() -> None:
        async with serving(who, pki.server()) as url:
            async with transport(TlsSettings(ca_file=pki.path("other.crt"))) as http:
                with pytest.raises(
                    Unavailable, match=r"its certificate is not accepted: self-signed certificate in certificate chain$"
                ):
                    await http.call(Request("GET", url), deadline_s=5)
            async with transport(TlsSettings(insecure=True)) as http:
                assert (await http.call(Request("GET", url), deadline_s=5)).body == b"nobody"

    asyncio.run(scenario())


def test_https_to_a_plain_server_is_told(pki: Pki) -> None:
    async def scenario() -> None:
        async with serving(echo) as url, transport(TlsSettings(ca_file=pki.path("ca.crt"))) as http:
            with pytest.raises(Unavailable, match="TLS failed"):
                await http.call(Request("GET", url.replace("http:", "https:")), deadline_s=5)

    asyncio.run(scenario())


def test_local_files_that_cannot_work_are_refused_by_name(pki: Pki) -> None:
    cert, key, other = pki.path("client.crt"), pki.path("client.key"), pki.path("other.key")
    cases = [
        (TlsSettings(ca_file="/nonexistent/ca"), "cannot read the CA certificate /nonexistent/ca"),
        (TlsSettings(ca_file=pki.path("broken.crt")), "broken.crt is not a PEM certificate"),
        (TlsSettings(ca_data="nonsense"), "the inline CA is not a PEM certificate"),
        (TlsSettings(cert_file=cert), "client.crt comes without a key: set both"),
        (TlsSettings(key_file=key), "client.key comes without a certificate: set both"),
        (TlsSettings(cert_file=cert, key_file=other), "client.crt and .*other.key are not a matching PEM pair"),
        (TlsSettings(cert_file=cert, key_file="/nonexistent/key"), "cannot read the client key /nonexistent/key"),
        (TlsSettings(cert_data="x", key_data="y"), "the inline client certificate and the inline client key are not"),
    ]
    for tls, words in cases:
        with pytest.raises(ConfigRefused, match=words):
            ssl_context(tls)
