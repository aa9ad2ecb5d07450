"""Why TLS failed, in words that name the flag: each cause over a real socket, and reasons that need another server."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import pytest
from aiohttp import web

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings, ssl_context
from kmsched.clients.http import Request
from kmsched.clients.tls_refusals import NOWHERE, TlsNames, in_words
from kmsched.errors import ConfigRefused, Unavailable
from tests.clients.pki import Pki
from tests.scenarios.tls_proxy import TlsProxy

NAMES = TlsNames(server="--x-server", ca="--x-ca", cert="--x-cert", key="--x-key")


async def fine(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(text="fine")


def refusals(
    pki: Pki,
    tls: TlsSettings,
    server: str = "server",
    *,
    scheme: str = "https",
    max_version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> list[str]:
    """What a call, and then a stream, are told by a proxy that wants a client certificate; nothing if they pass."""

    async def scenario() -> list[str]:
        runner = web.ServerRunner(web.Server(fine), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        context = pki.server(server, ssl.CERT_REQUIRED)
        context.maximum_version = max_version
        proxy = TlsProxy(runner.addresses[0][:2], context)
        request = Request("POST", f"{scheme}://127.0.0.1:{await proxy.start('127.0.0.1', 0)}/", {}, b"{}")
        transport = AiohttpTransport(replace(tls, names=NAMES))
        told = []
        try:
            try:
                await transport.call(request, deadline_s=30)
            except Unavailable as error:
                told.append(str(error))
            try:
                async with transport.stream(request, connect_s=30, idle_s=30) as stream:
                    assert await stream.read(10) == b"fine"
            except Unavailable as error:
                told.append(str(error))
        finally:
            await transport.close()
            await proxy.stop()
            await runner.cleanup()
        return [each.partition(": ")[2] for each in told]

    return asyncio.run(scenario())


def test_who_shows_the_right_certificate_is_let_in(pki: Pki) -> None:
    assert refusals(pki, pki.client()) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("old", "our client certificate has expired; check --x-cert, and reload when there is a new one"),
        (
            "stranger",
            "it does not accept our client certificate (unknown ca); check --x-cert, which must be signed by an"
            " authority that it knows",
        ),
    ],
)
def test_a_client_certificate_that_is_refused(pki: Pki, client: str, words: str, version: ssl.TLSVersion) -> None:
    assert refusals(pki, pki.client(client), max_version=version) == [words, words]


def test_a_client_certificate_that_is_missing(pki: Pki) -> None:
    none = TlsSettings(pki.path("ca.crt"))
    words = "it asks for a client certificate: give --x-cert and --x-key"
    assert refusals(pki, none, max_version=ssl.TLSVersion.TLSv1_3) == [words, words]
    words = "it refuses TLS with us (handshake failure); if " + words
    assert refusals(pki, none, max_version=ssl.TLSVersion.TLSv1_2) == [words, words]


@pytest.mark.parametrize(
    ("server", "ca", "words"),
    [
        (
            "server",
            "other",
            "self-signed certificate in certificate chain; check --x-ca, which must hold the authority that signed it",
        ),
        (
            "elsewhere",
            "ca",
            "IP address mismatch, certificate is not valid for '127.0.0.1'; check --x-server, and write the server as"
            " its certificate names it",
        ),
        ("oldserver", "ca", "certificate has expired: the server needs a new one"),
    ],
)
def test_a_server_that_is_not_believed(pki: Pki, server: str, ca: str, words: str) -> None:
    told = refusals(pki, pki.client(ca=ca), server)
    assert told == [f"its certificate is not accepted: {words}"] * 2


def test_without_tls_to_a_server_that_speaks_it(pki: Pki) -> None:
    words = "closed the connection without an answer; if it speaks TLS, write https:// in --x-server"
    assert refusals(pki, pki.client(), scheme="http") == [words, words]


def test_a_server_of_python_tells_nothing_and_the_certificate_may_be_why(pki: Pki) -> None:
    async def scenario() -> str:
        runner = web.ServerRunner(web.Server(fine), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pki.server(wants=ssl.CERT_REQUIRED)).start()
        transport = AiohttpTransport(replace(pki.client("stranger"), names=NAMES))
        try:
            with pytest.raises(Unavailable) as refused:
                await transport.call(Request("GET", f"https://127.0.0.1:{runner.addresses[0][1]}/"), deadline_s=30)
        finally:
            await transport.close()
            await runner.cleanup()
        return str(refused.value)

    assert asyncio.run(scenario()).endswith("; if it asks for a client certificate, check --x-cert")


def of_reason(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] words of OpenSSL")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "WRONG_VERSION_NUMBER",
            "TLS failed: it does not speak TLS there (wrong version number); write http:// in --x-server, or the port"
            " where it does",
        ),
        (
            "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "it does not accept our client certificate (certificate revoked); check --x-cert, which must be signed by"
            " an authority that it knows",
        ),
        (
            "TLSV1_ALERT_PROTOCOL_VERSION",
            "it offers no version of TLS that is still safe: it must speak TLS 1.2 or newer",
        ),
        ("TLSV1_ALERT_INTERNAL_ERROR", "TLS failed: [SSL: TLSV1_ALERT_INTERNAL_ERROR] words of OpenSSL"),
    ],
)
def test_other_reasons(reason: str, words: str) -> None:
    assert in_words(of_reason(reason), NAMES) == words


def test_where_there_is_no_flag_none_is_named() -> None:
    assert in_words(of_reason("TLSV13_ALERT_CERTIFICATE_REQUIRED")) == "it asks for a client certificate"
    assert in_words(of_reason("SSLV3_ALERT_CERTIFICATE_EXPIRED"), NOWHERE) == "our client certificate has expired"
    assert in_words(ConnectionResetError("reset")) is None


def test_files_that_cannot_work_are_refused_by_their_flag(pki: Pki) -> None:
    cert, key, other = pki.path("client.crt"), pki.path("client.key"), pki.path("other.key")
    cases = [
        (TlsSettings(ca_file="/nonexistent/ca"), "--x-ca: cannot read the CA certificate /nonexistent/ca"),
        (TlsSettings(ca_file=pki.path("broken.crt")), "--x-ca=.*broken.crt is not a PEM certificate"),
        (
            TlsSettings(cert_file=cert, key_file=other),
            "--x-cert=.*client.crt and --x-key=.*other.key are not a matching",
        ),
        (TlsSettings(cert_file="/nowhere", key_file=key), "--x-cert: cannot read the client certificate /nowhere"),
    ]
    for tls, words in cases:
        with pytest.raises(ConfigRefused, match=words):
            ssl_context(replace(tls, names=NAMES))
