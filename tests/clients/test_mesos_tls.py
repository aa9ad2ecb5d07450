"""A MesosScheduler over real sockets: a master behind a proxy that speaks TLS and wants a client certificate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from aiohttp import web

from kmsched import config, flags
from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.mesos import Credentials, Disconnected, MesosScheduler
from kmsched.clients.mesos_access import NAMES, mesos_tls
from kmsched.clients.mesos_operator import MesosOperator
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.wire.mesos import Subscribed
from kmsched.wire.mesos_calls import FrameworkInfo, revive
from tests.clients.fakes import FakeClock
from tests.clients.mesos_rig import STREAM, SUBSCRIBED
from tests.clients.pki import Pki
from tests.scenarios.tls_proxy import TlsProxy
from tests.scenarios.tls_proxy import context as of_proxy


@dataclass
class Master:
    """Subscribes whoever has the secret, and takes every call."""

    calls: list[tuple[str, str]] = field(default_factory=list)  # kind, Authorization
    leader: str = ""  # where it sends everybody
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = str(json.loads(await request.read() or b"{}").get("type", request.method))
        self.calls.append((kind, request.headers.get("Authorization", "")))
        if self.leader:
            return web.Response(status=307, headers={"Location": self.leader})
        if kind != "SUBSCRIBE":
            return web.Response(status=202)
        reply = web.StreamResponse(headers={"Mesos-Stream-Id": STREAM["mesos-stream-id"]})
        await reply.prepare(request)
        await reply.write(SUBSCRIBED)
        await self.may_end.wait()
        return reply


@asynccontextmanager
async def mastering(pki: Pki) -> AsyncIterator[tuple[Master, TlsProxy, str]]:
    """A master, the proxy before it, and host:port of that."""
    master = Master()
    runner = web.ServerRunner(web.Server(master.answer, handler_cancellation=True), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    context = of_proxy(pki.path("server.crt"), pki.path("server.key"), pki.path("ca.crt"))
    proxy = TlsProxy(runner.addresses[0][:2], context)
    port = await proxy.start("127.0.0.1", 0)
    try:
        yield master, proxy, f"127.0.0.1:{port}"
    finally:
        await proxy.stop()
        await runner.cleanup()


async def gate() -> str:
    return "F"


def scheduler(transport: RenewedTransport | AiohttpTransport, *masters: str) -> MesosScheduler:
    return MesosScheduler(
        masters,
        FrameworkInfo("km", "root"),
        gate,
        transport=transport,
        clock=FakeClock(),
        rng=Random(1),
        credentials=Credentials("me", "s3cret"),
    )


async def first(client: MesosScheduler) -> object:
    async with aclosing(client.events()) as events:
        return await anext(events)


def settings(pki: Pki, **files: str) -> TlsSettings:
    """As the scheduler's flags make them."""
    given = {"mesos-ca-file": "ca.crt", "mesos-cert-file": "client.crt", "mesos-key-file": "client.key", **files}
    tokens = [f"--{name}={pki.path(file)}" for name, file in given.items()]
    base = ["--mesos-master=https://m1:5050", "--api-servers=k:6443", "--km-path=file:///km"]
    return mesos_tls(config.build(flags.parse([*base, *tokens], flags.SCHEDULER)))


def test_it_subscribes_and_calls_under_tls_with_the_flags_files(pki: Pki) -> None:
    async def scenario() -> None:
        transport = AiohttpTransport(settings(pki))
        async with mastering(pki) as (master, proxy, where):
            client = scheduler(transport, f"https://{where}")
            async with aclosing(client.events()) as events:
                assert isinstance(await anext(events), Subscribed)
                await client.call(revive())
            assert [kind for kind, _ in master.calls] == ["SUBSCRIBE", "REVIVE"]
            assert {header for _, header in master.calls} == {"Basic bWU6czNjcmV0"}
            assert set(proxy.clients) == {"client"}
        await transport.close()

    asyncio.run(scenario())


def test_what_the_proxy_refuses_is_told_with_the_flag_and_is_tried_again(pki: Pki) -> None:
    """Never an end of the process: certificates are renewed while it waits."""

    async def scenario() -> None:
        async with mastering(pki) as (master, _, where):
            for tls, words in (
                (settings(pki, **{"mesos-ca-file": "other.crt"}), "check --mesos-ca-file, which must hold"),
                (
                    settings(pki, **{"mesos-cert-file": "old.crt", "mesos-key-file": "old.key"}),
                    "our client certificate has expired; check --mesos-cert-file",
                ),
                (
                    TlsSettings(pki.path("ca.crt"), names=NAMES),
                    "it asks for a client certificate: give --mesos-cert-file and --mesos-key-file",
                ),
            ):
                transport = AiohttpTransport(tls)
                item = await first(scheduler(transport, f"https://{where}"))
                assert isinstance(item, Disconnected)
                assert words in item.reason
                await transport.close()
            plain = AiohttpTransport(TlsSettings(names=NAMES))
            item = await first(scheduler(plain, f"http://{where}"))
            assert isinstance(item, Disconnected)
            assert item.reason.endswith("if it speaks TLS, write https:// in --mesos-master")
            await plain.close()
            assert master.calls == [], "nothing was sent to anybody who is not believed, and no secret"

    asyncio.run(scenario())


def test_tls_to_a_master_that_speaks_none(pki: Pki) -> None:
    async def scenario() -> str:
        master = Master()
        runner = web.ServerRunner(web.Server(master.answer, handler_cancellation=True), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        transport = AiohttpTransport(settings(pki))
        item = await first(scheduler(transport, f"https://127.0.0.1:{runner.addresses[0][1]}"))
        await transport.close()
        await runner.cleanup()
        assert isinstance(item, Disconnected)
        return item.reason

    assert "does not speak TLS there" in (told := asyncio.run(scenario()))
    assert told.endswith("write http:// in --mesos-master, or the port where it does")


def test_a_master_that_redirects_out_of_tls_gets_no_more(pki: Pki) -> None:
    async def scenario() -> None:
        transport = AiohttpTransport(settings(pki))
        async with mastering(pki) as (master, _, where), mastering(pki) as (leader, _, _):
            master.leader = "http://127.0.0.1:1/api/v1/scheduler"
            item = await first(scheduler(transport, f"https://{where}"))
            assert isinstance(item, Disconnected)
            assert "nothing is sent there without TLS" in item.reason
            assert leader.calls == []
        await transport.close()

    asyncio.run(scenario())


def test_renewed_certificates_are_for_what_begins_from_then_on(pki: Pki, tmp_path: Path) -> None:
    """The subscription goes on under the old one; the call after it shows the new one."""

    async def scenario() -> None:
        for name in ("crt", "key"):
            (tmp_path / f"shown.{name}").write_text(pki.text(f"client.{name}"))
        tls = replace(settings(pki), cert_file=str(tmp_path / "shown.crt"), key_file=str(tmp_path / "shown.key"))
        transport = RenewedTransport(AiohttpTransport(tls))
        async with mastering(pki) as (master, proxy, where):
            client = scheduler(transport, f"https://{where}")
            async with aclosing(client.events()) as events:
                assert isinstance(await anext(events), Subscribed)
                subscription = client.subscription
                # of the same authority, and another name
                for name in ("crt", "key"):
                    (tmp_path / f"shown.{name}").write_text(pki.text(f"elsewhere.{name}"))
                transport.renew(AiohttpTransport(tls))
                await client.call(revive())
                assert client.subscription is subscription
            assert proxy.clients == ["client", "elsewhere"]
            assert [kind for kind, _ in master.calls] == ["SUBSCRIBE", "REVIVE"]
        await transport.close()

    asyncio.run(scenario())


def test_the_doctors_questions_go_the_same_way(pki: Pki) -> None:
    async def scenario() -> str | None:
        transport = AiohttpTransport(settings(pki))
        async with mastering(pki) as (master, _, where):
            operator = MesosOperator([f"https://{where}"], transport=transport, credentials=Credentials("me", "s3cret"))
            refusal = await operator.refusal_of_credentials()
            assert master.calls == [("GET", "Basic bWU6czNjcmV0")]
        await transport.close()
        return refusal

    assert asyncio.run(scenario()) is None
