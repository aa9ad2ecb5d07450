"""The real transport: aiohttp, one session, TLS from files or inline data.

Knows sockets, certificates and how to put their failures into words.  Wrong certificates of the other side are
Unavailable, since they may be rotated; unreadable or invalid local files are ConfigRefused.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from kmsched.clients import tls_refusals
from kmsched.clients.http import MAX_BODY_BYTES, Request, Response
from kmsched.clients.tls_refusals import NOWHERE, TlsNames
from kmsched.errors import ConfigRefused, NobodyListens, Unavailable

#: A peer that vanished without a packet is noticed by the kernel after idle + interval x count seconds.
KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3

MAX_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Which certificates to trust and to show; PEM, each as a file's path or as text."""

    ca_file: str | None = None
    ca_data: str | None = None
    cert_file: str | None = None
    cert_data: str | None = None
    key_file: str | None = None
    key_data: str | None = field(default=None, repr=False)
    insecure: bool = False
    #: whether a certificate must name the host that was asked for
    checks_names: bool = True
    names: TlsNames = NOWHERE


def ssl_context(tls: TlsSettings) -> ssl.SSLContext:
    """The context that `tls` describes.  ConfigRefused names the file that cannot be read or is no PEM."""
    if not (tls.ca_data or tls.ca_file):
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority = tls.ca_data or _read(tls.ca_file or "", "CA certificate", tls.names.ca)
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as error:
            origin = _origin(tls.ca_file, "CA", tls.names.ca)
            raise ConfigRefused(f"{origin} is not a PEM certificate: {error}") from error
    if tls.insecure or not tls.checks_names:
        context.check_hostname = False
    if tls.insecure:
        context.verify_mode = ssl.CERT_NONE
    _load_client_certificate(context, tls)
    return context


def _load_client_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    names = tls.names
    cert = tls.cert_data or (_read(tls.cert_file, "client certificate", names.cert) if tls.cert_file else "")
    key = tls.key_data or (_read(tls.key_file, "client key", names.key) if tls.key_file else "")
    of_cert, of_key = (
        _origin(tls.cert_file, "client certificate", names.cert),
        _origin(tls.key_file, "client key", names.key),
    )
    if not cert and not key:
        return
    if not key and "PRIVATE KEY" not in cert:
        raise ConfigRefused(f"{of_cert} comes without a key: set both")
    if not cert:
        raise ConfigRefused(f"{of_key} comes without a certificate: set both")
    # The ssl module takes a chain from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
        pem.write(f"{cert}\n{key}\n")
        pem.flush()
        try:
            context.load_cert_chain(pem.name, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigRefused(
                f"{of_cert} and {of_key} are not a matching PEM pair without passphrase: {error}"
            ) from error


def _origin(path: str | None, what: str, flag: str) -> str:
    origin = path if path else f"the inline {what}"
    return f"{flag}={origin}" if flag else origin


def _read(path: str, what: str, flag: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{flag}{': ' if flag else ''}cannot read the {what} {path}: {error}") from error


class AiohttpTransport:
    """`Transport` over the network; create and close it inside one event loop."""

    def __init__(self, tls: TlsSettings | None = None, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._ssl = ssl_context(tls) if tls is not None else None
        self._names = tls.names if tls is not None else NOWHERE
        self._max_body_bytes = max_body_bytes
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._ssl if self._ssl is not None else True,
                limit=MAX_CONNECTIONS,
                socket_factory=_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
            )
        return self._session

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._open().request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                ) as reply,
            ):
                body = await _read_up_to(reply, self._max_body_bytes + 1)
                if len(body) > self._max_body_bytes:
                    limit = self._max_body_bytes
                    raise Unavailable(f"{request.host} answered with more than {limit} bytes")
                return Response(reply.status, _lower(reply.headers), body)
        except TimeoutError as error:
            raise Unavailable(f"{request.host} did not answer within {deadline_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise unavailable(request, error, self._names) from error

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[_AiohttpStream]:
        try:
            async with asyncio.timeout(connect_s):
                reply = await self._open().request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                )
        except TimeoutError as error:
            raise Unavailable(f"{request.host} did not answer within {connect_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise unavailable(request, error, self._names) from error
        try:
            yield _AiohttpStream(reply, request.host, idle_s, self._names)
        finally:
            reply.close()

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class _AiohttpStream:
    def __init__(self, reply: aiohttp.ClientResponse, host: str, idle_s: float, names: TlsNames) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = _lower(reply.headers)
        self._reply = reply
        self._host = host
        self._idle_s = idle_s
        self._names = names

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> _AiohttpStream:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._next()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def read(self, limit: int) -> bytes:
        body = b""
        while len(body) < limit and (chunk := await self._next()):
            body += chunk
        return body[:limit]

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_s):
                return await self._reply.content.readany()
        except TimeoutError as error:
            raise Unavailable(f"{self._host} was silent for {self._idle_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                f"{self._host}: {tls_refusals.in_words(error, self._names) or in_words(error)}"
            ) from error


async def _read_up_to(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit and (chunk := await reply.content.readany()):
        body += chunk
    return bytes(body)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
    return made


def unavailable(request: Request, error: Exception, names: TlsNames = NOWHERE) -> Unavailable:
    is_refused = isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED
    words = tls_refusals.in_words(error, names) or in_words(error)
    if _is_broken_off(error):
        words += tls_refusals.broken_off(names, is_tls=request.url.startswith("https:"))
    return (NobodyListens if is_refused else Unavailable)(f"{request.host}: {words}")


def _is_broken_off(error: Exception) -> bool:
    """Closed, or reset, before there was an answer."""
    os_error = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(error, aiohttp.ServerDisconnectedError) or (
        isinstance(os_error, ConnectionResetError)
        or (isinstance(os_error, OSError) and os_error.errno == errno.ECONNRESET)
    )


def in_words(error: Exception) -> str:
    """What went wrong on the way, without class names."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the name does not resolve"
        case aiohttp.ClientConnectorError():
            # asyncio's own text for it is the address, which is in the message already.
            number = error.os_error.errno
            why = os.strerror(number) if number else str(error.os_error) or "closed while it was made"
            return f"no connection: {why}"
        case aiohttp.InvalidURL():
            return "not a usable URL"
        case aiohttp.ServerDisconnectedError():
            return "closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the connection broke in the middle of the answer"
        case aiohttp.ClientResponseError():
            return f"the answer is no HTTP: {' '.join(error.message.split())}"
    return f"the connection broke: {str(error) or type(error).__name__}"
