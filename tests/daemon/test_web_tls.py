"""Certificates of the HTTP server, over real sockets: rotated, refused, and checked by peers."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.clock import SystemClock
from kmsched.daemon import web_routes
from kmsched.daemon.deadman import DeadMan
from kmsched.daemon.web import Web, application
from kmsched.daemon.web_access import Access
from kmsched.daemon.web_peers import deadman_route, leader_route
from kmsched.http_settings import HttpSettings
from kmsched.wire.members import Hello, Leader
from tests.daemon.certificates import certificate
from tests.daemon.test_web import views
from tests.daemon.web_servers import serving


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
