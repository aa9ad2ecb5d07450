"""A TLS proxy that asks for client certificates: in front of servers that speak no TLS themselves, like our masters.

    python3 tls_proxy.py LISTEN:PORT SERVER:PORT CERT KEY AUTHORITY

Knows bytes only.  Whoever it refuses is sent TLS' own alert before the connection ends, as real servers do; Python's
own servers just close it.  Needs nothing beside Python, so that it runs on any host.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys

PIECE = 64 * 1024
#: whoever was refused may still be sending; a connection that is reset takes the alert with it
FAREWELL_S = 1.0


class Refused(Exception):
    """The handshake failed; the alert, if there is one, has been sent."""


class _Tls:
    """The server's side of TLS on one connection."""

    def __init__(self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader, self._writer = reader, writer

    async def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise Refused("closed") from None
            except ssl.SSLError as error:
                await self._flush()
                raise Refused(str(error)) from error
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        """b"": the other side has ended."""
        while True:
            try:
                return self._tls.read(PIECE)
            except ssl.SSLWantReadError:
                if not await self._fill():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def _fill(self) -> bool:
        data = await self._reader.read(PIECE)
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        self._writer.write(self._outgoing.read())
        await self._writer.drain()


class TlsProxy:
    """`start`, then `stop`. Another `context` is for connections from then on."""

    def __init__(self, server: tuple[str, int], context: ssl.SSLContext) -> None:
        self._server = server
        self.context = context
        self._listening: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        #: common names of the clients that were let in, in their order
        self.clients: list[str] = []
        self.refused: list[str] = []

    async def start(self, host: str, port: int) -> int:
        """The port, which is any free one if 0 was asked for."""
        self._listening = await asyncio.start_server(self._accepted, host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._listening is not None, "start comes first"
        self._listening.close()
        for each in self._connections:
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = _Tls(self.context, reader, writer)
        try:
            await tls.shake_hands()
        except Refused as refused:
            self.refused.append(str(refused))
            await _say_farewell(reader, writer)
            return
        self.clients.append(_common_name(tls._tls.getpeercert()))
        there, back = await asyncio.open_connection(*self._server)
        pumps = [asyncio.ensure_future(_up(tls, back)), asyncio.ensure_future(_down(there, tls))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.close()


async def _up(tls: _Tls, back: asyncio.StreamWriter) -> None:
    while data := await tls.read():
        back.write(data)
        await back.drain()


async def _down(there: asyncio.StreamReader, tls: _Tls) -> None:
    while data := await there.read(PIECE):
        await tls.write(data)


async def _say_farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            while await reader.read(PIECE):
                pass


def _common_name(certificate: object) -> str:
    subject = certificate.get("subject", ()) if isinstance(certificate, dict) else ()
    return next((value for ((name, value),) in subject if name == "commonName"), "")


def context(cert: str, key: str, authority: str) -> ssl.SSLContext:
    """Clients must show a certificate that `authority` has signed."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert, key)
    made.load_verify_locations(authority)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


async def main(listen: str, server: str, cert: str, key: str, authority: str) -> None:
    host, _, port = listen.rpartition(":")
    to_host, _, to_port = server.rpartition(":")
    proxy = TlsProxy((to_host, int(to_port)), context(cert, key, authority))
    await proxy.start(host, int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
