"""The Kubernetes API as thin calls: JSON in, JSON out, errors from the tree.

Knows API servers (and to go on to the next when one fails), credentials, deadlines and what status codes mean.
Refuses to know what a pod is; lists and watches are in `reflector`.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.exec_plugin import ExecCredentials, found_plugin
from kmsched.clients.http import Request, Response, StreamResponse, Transport, excerpt
from kmsched.clients.kube_identity import Identity
from kmsched.clock import Clock
from kmsched.errors import (
    ConfigRefused,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KmError,
    NotFound,
    Unavailable,
)
from kmsched.wire.exec_credential import ExecPlugin
from kmsched.wire.kubeconfig import KubeSettings, check_server, parse_kubeconfig
from kmsched.wire.typed import UNDECODABLE, decode

Json = dict[str, Any]

CALL_DEADLINE_S = 5.0
#: One page of a list may be megabytes.
LIST_DEADLINE_S = 30.0
CONNECT_S = 5.0
#: A mounted service account's token is renewed by rename some time before the old one ends.
TOKEN_REREAD_S = 60.0
ERROR_TEXT_BYTES = 4000

_object_decoder = msgspec.json.Decoder(dict[str, Any])

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """All that a client needs of a kubeconfig, files and command looked up: servers, certificates, token."""

    servers: tuple[str, ...]
    tls: TlsSettings
    user: str
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    plugin: ExecPlugin | None = None

    def shown(self) -> str:
        """What a client shows of it and trusts, in words."""
        kinds = (
            ("authority", self.tls.ca_file or self.tls.ca_data),
            ("client certificate", self.tls.cert_file or self.tls.cert_data),
            ("token", self.token or self.token_file),
        )
        return ", ".join(name for name, is_there in kinds if is_there) or "no authority, certificate or token"


def load_access(
    kubeconfig_path: str, api_servers: Sequence[str] | None = None, context: str | None = None
) -> KubeAccess:
    """Read a kubeconfig; `api_servers` (URLs) replace its server.  ConfigRefused names file and field."""
    try:
        text = Path(kubeconfig_path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"cannot read the kubeconfig {kubeconfig_path}: {error}") from error
    settings = parse_kubeconfig(text, kubeconfig_path, context)
    servers = tuple(check_server(url, "an API server") for url in api_servers or (settings.server,))
    folder = Path(kubeconfig_path).parent
    try:
        plugin = None if settings.exec is None else found_plugin(settings.exec, folder)
    except ConfigRefused as error:
        raise ConfigRefused(f"{kubeconfig_path}: user {settings.user!r}: {error}") from error
    return KubeAccess(
        servers=servers,
        tls=_tls(settings, folder),
        user=settings.user,
        token=settings.token,
        token_file=_beside(settings.token_file, folder),
        plugin=plugin,
    )


def _tls(settings: KubeSettings, folder: Path) -> TlsSettings:
    return TlsSettings(
        ca_file=_beside(settings.ca_file, folder),
        ca_data=settings.ca_data,
        cert_file=_beside(settings.cert_file, folder),
        cert_data=settings.cert_data,
        key_file=_beside(settings.key_file, folder),
        key_data=settings.key_data,
        insecure=settings.insecure,
    )


def _beside(path: str | None, folder: Path) -> str | None:
    """Relative paths in a kubeconfig are relative to the file itself."""
    return str(folder / path) if path else None


class TokenSource:
    """The bearer token; a file is read again when it changed and every `TOKEN_REREAD_S` seconds."""

    def __init__(self, token: str | None, token_file: str | None, clock: Clock) -> None:
        self._token = token
        self._file = Path(token_file) if token_file else None
        self._clock = clock
        self._mtime_ns: int | None = None
        self._read_at = 0.0

    def current(self) -> str | None:
        """The token to send now, if any.  ConfigRefused: the file never gave one."""
        if self._file is None:
            return self._token
        try:
            mtime_ns = self._file.stat().st_mtime_ns
            now = self._clock.monotonic()
            if mtime_ns != self._mtime_ns or now - self._read_at >= TOKEN_REREAD_S:
                fresh = self._file.read_text(encoding="ascii").strip()
                # A writer that truncates first may be met in between: then the old token serves on.
                if fresh:
                    self._token, self._mtime_ns, self._read_at = fresh, mtime_ns, now
        except (OSError, ValueError) as error:
            if self._token is None:
                raise ConfigRefused(f"cannot read the token file {self._file}: {error}") from error
        if self._token is None:
            raise ConfigRefused(f"the token file {self._file} is empty")
        return self._token


class KubeClient:
    """Calls to whichever of the API servers answers."""

    def __init__(
        self,
        access: KubeAccess,
        *,
        make_transport: Callable[[TlsSettings], Transport],
        clock: Clock,
        call_deadline_s: float = CALL_DEADLINE_S,
    ) -> None:
        self._access = access
        plugin = access.plugin
        self._identity = Identity(
            TokenSource(access.token, access.token_file, clock).current,
            access.tls,
            make_transport,
            None if plugin is None else ExecCredentials(plugin, access.user, access.tls, clock),
        )
        self._clock = clock
        self._call_deadline_s = call_deadline_s
        self._server = 0

    @property
    def server(self) -> str:
        """The API server that the next call goes to."""
        return self._access.servers[self._server]

    async def close(self) -> None:
        await self._identity.close()

    async def renew(self, access: KubeAccess, ask: Callable[[KubeClient], Awaitable[object]]) -> None:
        """Show certificates and token of `access` from now on. ConfigRefused: why not, and nothing has changed.

        They are tried by `ask` first: what works is given up only for what works.
        """
        if (access.servers, access.plugin) != (self._access.servers, self._access.plugin):
            raise ConfigRefused(
                "the kubeconfig names other API servers, or another command for credentials: restart for that"
            )
        token = TokenSource(access.token, access.token_file, self._clock).current
        candidate = copy.copy(self)
        candidate._access, candidate._identity = access, self._identity.candidate(token, access.tls)
        refusal = await _refusal_of(ask, candidate)
        if refusal is not None and await _refusal_of(ask, self) is None:
            await candidate._identity.transport.close()
            raise ConfigRefused(f"the new ones are not taken: {refusal}") from refusal
        self._access = access
        self._identity.become(candidate._identity)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        deadline_s: float | None = None,
    ) -> bytes:
        """The body of a 2xx answer.

        Unavailable (also 429 and 5xx): the next call goes to the next server; a call that changes things may
        have taken effect.  Conflict, NotFound, Forbidden, Gone, Invalid: see `errors`.
        """
        server = self._server
        deadline_s = deadline_s or self._call_deadline_s
        reply: Response
        try:
            for may_replace in (True, False):
                shown = await self._identity.shown()
                request = self._request(method, path, query, body, content_type, shown.token)
                reply = await self._identity.transport.call(request, deadline_s=deadline_s)
                if reply.status != 401 or not may_replace or not await self._identity.replaced(shown):
                    break
            if not 200 <= reply.status < 300:
                raise self._refusal(request, reply.status, reply.headers, reply.body)
        except Unavailable:
            self._rotate(server)
            raise
        return reply.body

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], idle_s: float
    ) -> AsyncGenerator[StreamResponse, None]:
        """A GET whose 200 answer is read piece by piece; errors as for `request`."""
        server = self._server
        try:
            for may_replace in (True, False):
                shown = await self._identity.shown()
                request = self._request("GET", path, query, None, "application/json", shown.token)
                stream = self._identity.transport.stream(request, connect_s=CONNECT_S, idle_s=idle_s)
                async with stream as reply:
                    if reply.status == 200:
                        yield reply
                        return
                    words = await reply.read(ERROR_TEXT_BYTES)
                    refusal = self._refusal(request, reply.status, reply.headers, words)
                if reply.status != 401 or not may_replace or not await self._identity.replaced(shown):
                    raise refusal
        except Unavailable:
            self._rotate(server)
            raise

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return decode_object(await self.request("GET", path, query=query), f"GET {path}")

    async def create(self, path: str, body: object) -> Json:
        return decode_object(await self.request("POST", path, body=body), f"POST {path}")

    async def patch(self, path: str, body: object, content_type: str = STRATEGIC_PATCH) -> Json:
        reply = await self.request("PATCH", path, body=body, content_type=content_type)
        return decode_object(reply, f"PATCH {path}")

    async def delete(self, path: str, options: Json | None = None) -> None:
        await self.request("DELETE", path, body=options)

    def _rotate(self, failed: int) -> None:
        # Only the first of several failures of one server moves on, or two would skip the next one.
        if self._server == failed:
            self._server = (failed + 1) % len(self._access.servers)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        token: str | None,
    ) -> Request:
        headers = {"accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers["content-type"] = content_type
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        return Request(method, url, headers, None if body is None else msgspec.json.encode(body))

    def _refusal(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> KmError:
        verb = f"{request.method} {request.url.partition('?')[0]}"
        said = f"{verb} was answered {status}: {status_words(body)}"
        match status:
            case 401 | 403:
                return Forbidden(f"{said} (user {self._access.user!r})")
            case 404:
                return NotFound(said)
            case 409:
                return Conflict(said)
            case 410:
                return Gone(said)
            case 400 | 405 | 413 | 415 | 422:
                return Invalid(said)
        return Unavailable(said)


async def _refusal_of(ask: Callable[[KubeClient], Awaitable[object]], client: KubeClient) -> KmError | None:
    """Of the first API server that answers."""
    refusal: KmError | None = None
    for _ in client._access.servers:
        try:
            await ask(client)
            return None
        except Unavailable as error:
            refusal = error
        except KmError as error:
            return error
    return refusal


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0


def status_words(body: bytes) -> str:
    """The message of a v1.Status, or the start of whatever else came."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except UNDECODABLE:
        return excerpt(body)
    return status.message or status.reason or excerpt(body)


def decode_object(body: bytes, what: str) -> Json:
    """The JSON object in `body`.  ProtocolError if it is anything else."""
    return decode(_object_decoder, body, f"the answer to {what}")


def pod_path(namespace: str, name: str, sub: str = "") -> str:
    """The path of a pod, or of one of its subresources."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
    return f"{path}/{sub}" if sub else path
