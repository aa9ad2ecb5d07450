"""Tokens and certificates of a command, from the client to the transport."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.exec_plugin import PAUSE_S
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.kube_identity import Identity
from kmsched.errors import ConfigRefused, Forbidden, Unavailable
from kmsched.wire.exec_credential import V1, ExecCredential, ExecPlugin
from tests.clients.fakes import FakeClock, HandlerTransport, Reply, Silence


class Commanded:
    """In place of `ExecCredentials`: what it gives is set by the test."""

    def __init__(self, given: ExecCredential) -> None:
        self.given = given
        self.is_closed = False

    async def current(self) -> ExecCredential:
        return self.given

    async def replaced(self, refused: ExecCredential) -> bool:
        return refused != self.given

    async def close(self) -> None:
        self.is_closed = True


class Transports:
    """Makes transports, and remembers them by their certificate."""

    def __init__(self) -> None:
        self.made: dict[str | None, Closable] = {}
        self.bad = ""
        #: by the server
        self.refused = ""

    def make(self, tls: TlsSettings) -> Closable:
        if self.bad and tls.cert_data == self.bad:
            raise ConfigRefused("the inline client certificate is no PEM")
        made = self.made[tls.cert_data] = Closable(lambda _: Reply(401 if tls.cert_data == self.refused else 200))
        return made


class Closable(HandlerTransport):
    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


CERTIFIED = ExecCredential(cert_data="one", key_data="key")


def test_a_new_certificate_takes_new_connections_and_old_ones_end() -> None:
    transports = Transports()
    commanded = Commanded(CERTIFIED)
    identity = Identity(lambda: None, TlsSettings(ca_data="CA"), transports.make, commanded)  # type: ignore[arg-type]

    async def called() -> None:
        assert (await identity.shown()).credential == commanded.given
        await identity.transport.call(Request("GET", "https://k/"), deadline_s=1.0)

    async def scenario() -> None:
        await called()
        await called()
        commanded.given = replace(CERTIFIED, cert_data="two")
        await called()
        calls = {name: len(made.requests) for name, made in transports.made.items()}
        assert calls == {None: 0, "one": 2, "two": 1}
        assert [name for name, made in transports.made.items() if made.is_closed] == [None, "one"]
        await identity.close()
        assert transports.made["two"].is_closed
        assert commanded.is_closed

    asyncio.run(scenario())


def test_a_certificate_that_is_none_is_the_commands_fault_and_ends_nothing() -> None:
    transports = Transports()
    transports.bad = "one"
    commanded = Commanded(CERTIFIED)
    identity = Identity(lambda: None, TlsSettings(), transports.make, commanded)  # type: ignore[arg-type]
    words = "the certificate that the command for credentials gave: the inline client certificate is no PEM"
    with pytest.raises(Unavailable, match=words):
        asyncio.run(identity.shown())
    commanded.given = replace(CERTIFIED, cert_data="two")
    assert asyncio.run(identity.shown()).credential == commanded.given


def test_a_certificate_that_is_none_is_replaced_though_it_does_not_expire() -> None:
    transports = Transports()
    transports.bad = "one"
    commanded = Commanded(CERTIFIED)

    async def replaced(refused: ExecCredential) -> bool:
        assert refused == CERTIFIED
        commanded.given = replace(CERTIFIED, cert_data="two")
        return True

    commanded.replaced = replaced  # type: ignore[method-assign]
    identity = Identity(lambda: None, TlsSettings(), transports.make, commanded)  # type: ignore[arg-type]
    assert asyncio.run(identity.shown()).credential == commanded.given


def test_certificates_of_a_kubeconfig_that_is_read_anew_take_new_calls() -> None:
    transports = Transports()

    def access(cert: str, **more: Any) -> KubeAccess:
        return KubeAccess(("https://a:6443",), TlsSettings(cert_data=cert, key_data="key"), "km", **more)

    async def ask(kube: KubeClient) -> None:
        await kube.request("GET", "/version")

    def closed() -> list[str | None]:
        return [name for name, made in transports.made.items() if made.is_closed]

    async def scenario() -> None:
        kube = KubeClient(access("one"), make_transport=transports.make, clock=FakeClock())
        transports.bad = "no PEM"
        with pytest.raises(ConfigRefused, match="the inline client certificate is no PEM"):
            await kube.renew(access("no PEM"), ask)
        transports.refused = "unknown"
        with pytest.raises(ConfigRefused, match=r"the new ones are not taken: .* was answered 401"):
            await kube.renew(access("unknown"), ask)
        other = ExecPlugin("/usr/bin/get-token")
        for changed in (replace(access("two"), servers=("https://b:6443",)), access("two", plugin=other)):
            with pytest.raises(ConfigRefused, match="names other API servers, or another command for credentials"):
                await kube.renew(changed, ask)
        assert closed() == ["unknown"]
        await ask(kube)
        assert len(transports.made["one"].requests) == 2, "the probe of what worked, and this"
        await kube.renew(access("two"), ask)
        await ask(kube)
        assert closed() == ["one", "unknown"]
        assert len(transports.made["two"].requests) == 2
        # what worked is refused, too, by now
        transports.refused = "two"
        await kube.renew(access("three"), ask)
        await ask(kube)
        assert closed() == ["one", "unknown", "two"]
        await kube.close()
        assert closed() == list(transports.made)

    asyncio.run(scenario())


# --- through the client, with a real command


def client(folder: Path, valid: str) -> tuple[KubeClient, HandlerTransport, FakeClock]:
    """Of an API server that accepts one token; the command prints the content of `token`."""
    script = folder / "get-token"
    status = '\'{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"%s"}}\'' % (V1, "%s")  # noqa: UP031
    script.write_text(f"#!/bin/sh\ncd {folder}\nprintf {status} $(cat token)\n")
    script.chmod(0o755)

    def handle(request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {valid}":
            return Reply(401, [b'{"message":"Unauthorized"}'])
        return Reply(200, [json.dumps({"kind": "Pod"}).encode(), Silence()] if "watch" in request.url else [b"{}"])

    transport, clock = HandlerTransport(handle), FakeClock()
    access = KubeAccess(("https://a:6443",), TlsSettings(), "km", plugin=ExecPlugin(str(script)))
    return KubeClient(access, make_transport=lambda _: transport, clock=clock), transport, clock


def test_after_401_the_command_is_asked_once_more(tmp_path: Path) -> None:
    kube, transport, clock = client(tmp_path, "new")
    (tmp_path / "token").write_text("new")

    async def scenario() -> None:
        assert await kube.get("/api/v1/pods") == {}
        (tmp_path / "token").write_text("old")
        clock.now_s += PAUSE_S
        assert await kube.get("/api/v1/pods") == {}

    asyncio.run(scenario())
    assert [request.headers["authorization"] for request in transport.requests] == ["Bearer new"] * 2


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_token_that_was_revoked_is_replaced_within_the_call(tmp_path: Path, is_stream: bool) -> None:
    kube, transport, clock = client(tmp_path, "new")
    (tmp_path / "token").write_text("old")

    async def ask() -> None:
        if not is_stream:
            await kube.get("/api/v1/pods")
            return
        async with kube.stream("/api/v1/pods", query={"watch": "1"}, idle_s=5) as reply:
            assert reply.status == 200

    async def scenario() -> None:
        with pytest.raises(Forbidden, match=r"answered 401: Unauthorized \(user 'km'\)"):
            await ask()
        assert len(transport.requests) == 1
        (tmp_path / "token").write_text("new")
        clock.now_s += PAUSE_S
        await ask()

    asyncio.run(scenario())
    shown = [request.headers["authorization"] for request in transport.requests]
    assert shown == ["Bearer old", "Bearer old", "Bearer new"]


def test_a_command_that_fails_is_told_with_the_call(tmp_path: Path) -> None:
    kube, transport, _ = client(tmp_path, "new")
    (tmp_path / "get-token").write_text("#!/bin/sh\necho the cloud is away >&2; exit 1\n")
    with pytest.raises(Unavailable, match="get-token failed with exit code 1: the cloud is away"):
        asyncio.run(kube.get("/api/v1/pods"))
    assert transport.requests == []
