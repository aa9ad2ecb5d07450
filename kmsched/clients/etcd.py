"""etcd by its v3 JSON gateway: several endpoints, a deadline on every call, and a token that is renewed in time.

Knows which endpoint answered last, whose turn is next, and which refusals may pass.  It does not know keys, leaders or
leases' meaning.  A transaction is sent once: after Unavailable it may have happened, and only the caller can tell by
reading.  Everything else may be sent twice without harm (a lease has an id that the caller chose), so it goes to the
next endpoint when one is silent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from kmsched.clients.http import Request, Response, StreamResponse, Transport, within
from kmsched.clock import Clock
from kmsched.errors import ConfigRefused, Forbidden, Gone, Invalid, KmError, NotFound, ProtocolError, Unavailable
from kmsched.wire import etcd as wire
from kmsched.wire import typed

#: etcd forgets a token that was not used for 300 s, by default
TOKEN_AGE_S = 120.0
#: a member says at least so often that a watch is alive, if its operator left the default of 10 minutes
WATCH_IDLE_S = 900.0
MAX_LINE_BYTES = 16 * 1024 * 1024

# gRPC's codes
_INVALID, _NOT_FOUND, _DENIED, _FAILED, _COMPACTED, _UNAUTHENTICATED = 3, 5, 7, 9, 11, 16
_MAY_PASS = frozenset({1, 2, 4, 8, 10, 13, 14})
#: the second one after any change of users or roles, where tokens are JWTs
_TOKEN_REFUSED = ("invalid auth token", "revision of auth store is old")

_range = wire.decoder(wire.RangeAnswer)
_txn = wire.decoder(wire.TxnAnswer)
_lease = wire.decoder(wire.LeaseAnswer)
_keepalive = wire.decoder(wire.KeepaliveAnswer)
_token = wire.decoder(wire.TokenAnswer)
_status = wire.decoder(wire.StatusAnswer)
_line = wire.decoder(wire.WatchLine)


T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    user: str
    password: str


class EtcdClient:
    """`endpoints`: http(s)://host:port each. `call_deadline_s` bounds every call, all tries together.

    Unavailable: no endpoint answered in time.  Forbidden: user, password or rights.  ConfigRefused: a certificate that
    etcd's gateway will never take.  NotFound, Invalid: etcd says no.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        transport: Transport,
        clock: Clock,
        *,
        call_deadline_s: float,
        credentials: Credentials | None = None,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._transport = transport
        self._clock = clock
        self._deadline_s = call_deadline_s
        #: one silent endpoint must leave time for the others
        self._try_s = call_deadline_s / min(len(self._endpoints), 3)
        self._credentials = credentials
        self._current = 0
        #: set when the current endpoint is left
        self._leaving = asyncio.Event()
        self._token: str | None = None
        self._token_at = 0.0
        self._authenticating = asyncio.Lock()

    @property
    def endpoint(self) -> str:
        """Where the next call goes first."""
        return self._endpoints[self._current]

    def renew(self, credentials: Credentials | None) -> None:
        """Ask for the next token with these."""
        self._credentials = credentials
        self._token = None

    async def range(self, key: str, *, is_prefix: bool = False) -> wire.RangeAnswer:
        """What is stored, linearizable."""
        answer = await self._call(wire.RANGE, wire.range_body(key, is_prefix=is_prefix), can_repeat=True)
        found = _decoded(_range, answer, "etcd's range")
        if not found.header.revision:
            raise Unavailable(f"{self.endpoint}: an answer without a revision comes from no etcd")
        return found

    async def txn(
        self,
        compares: Sequence[wire.Compare],
        then: Sequence[wire.Operation],
        otherwise: Sequence[wire.Operation] = (),
    ) -> wire.TxnAnswer:
        """One try. After Unavailable it may have happened, or still happen until the deadline of etcd itself."""
        answer = await self._call(wire.TXN, wire.txn_body(compares, then, otherwise), can_repeat=False)
        return _decoded(_txn, answer, "etcd's transaction")

    async def grant(self, lease_id: int, ttl_s: int) -> int:
        """The TTL that etcd gives, in seconds, which may be longer than asked for; Invalid: the id is in use."""
        answer = await self._call(wire.GRANT, wire.grant_body(lease_id, ttl_s), can_repeat=False)
        return _decoded(_lease, answer, "etcd's lease").TTL

    async def keepalive(self, lease_id: int) -> int:
        """Seconds that the lease lives from now on; 0: it is gone."""
        answer = await self._call(wire.KEEPALIVE, wire.lease_body(lease_id), can_repeat=True)
        return _decoded(_keepalive, answer, "etcd's renewal").result.TTL

    async def revoke(self, lease_id: int) -> bool:
        """End the lease and delete its keys; False: it was gone."""
        try:
            await self._call(wire.REVOKE, wire.lease_body(lease_id), can_repeat=True)
        except NotFound:
            return False
        return True

    async def status(self) -> wire.StatusAnswer:
        """Of the member that answers first."""
        answer = await self._call(wire.STATUS, {}, can_repeat=True)
        return _decoded(_status, answer, "etcd's status")

    async def watch(self, prefix: str, start_revision: int) -> AsyncGenerator[wire.News, None]:
        """Messages of one watch at one endpoint, until it breaks: Unavailable.

        Gone: `start_revision` is compacted; read again and watch from there.  A member that is frozen stays silent and
        says so to nobody.  Its watch breaks when a call there has no answer; whoever must know in time polls, too.
        """
        place, leaving = self._current, self._leaving
        request = await self._request(place, wire.WATCH, wire.watch_body(prefix, start_revision))
        try:
            async with self._transport.stream(request, connect_s=self._try_s, idle_s=WATCH_IDLE_S) as stream:
                if stream.status != 200:
                    self._refuse(Response(stream.status, body=await stream.read(4096)), request.host)
                late = f"{request.host} leaves calls without an answer"
                async with aclosing(_until(leaving, _lines(stream), late)) as lines:
                    async for line in lines:
                        yield self._news(line, request.host)
        except Unavailable:
            self._leave(place)
            raise
        except ProtocolError as error:
            self._leave(place)
            raise Unavailable(str(error)) from error
        raise Unavailable(f"{request.host} ended the watch")

    async def _call(self, path: str, body: wire.Json, *, can_repeat: bool) -> Response:
        until = self._clock.monotonic() + self._deadline_s
        tries = len(self._endpoints) if can_repeat else 1
        while True:
            tries -= 1
            place = self._current
            left_s = until - self._clock.monotonic()
            try:
                return await self._try(place, path, body, min(left_s, self._try_s if tries else self._deadline_s))
            except Unavailable as error:
                self._leave(place)
                if not tries or until - self._clock.monotonic() <= 0:
                    # an etcd that was restored from a backup leaves calls with a token of before without an answer
                    self._token = None
                    raise Unavailable(f"etcd: {error}") from error

    async def _try(self, place: int, path: str, body: wire.Json, deadline_s: float) -> Response:
        if self._credentials is None:
            request = await self._request(place, path, body)
            answer = await self._transport.call(request, deadline_s=deadline_s)
        else:
            # others may be waiting for the same token: all of it takes no longer than the call alone
            late = f"{urlsplit(self._endpoints[place]).netloc} did not answer within {deadline_s:g} s"
            authorized = self._authorized(place, path, body, deadline_s)
            request, answer = await within(self._clock, deadline_s, authorized, late)
        if answer.status != 200:
            self._refuse(answer, request.host)
        return answer

    async def _authorized(self, place: int, path: str, body: wire.Json, deadline_s: float) -> tuple[Request, Response]:
        request = await self._request(place, path, body)
        answer = await self._transport.call(request, deadline_s=deadline_s)
        if self._is_token_refused(answer):
            # refused before it was looked at: a new token, and once more
            self._token = None
            request = await self._request(place, path, body)
            answer = await self._transport.call(request, deadline_s=deadline_s)
        return request, answer

    async def _request(self, place: int, path: str, body: wire.Json) -> Request:
        headers: Mapping[str, str] = {"content-type": "application/json"}
        if self._credentials is not None:
            headers = {**headers, "authorization": await self._fresh_token()}
        return Request("POST", self._endpoints[place] + path, headers, json.dumps(body).encode())

    async def _fresh_token(self) -> str:
        async with self._authenticating:
            assert self._credentials is not None
            place = self._current  # whoever had the lock before may have found an endpoint to be away
            now = self._clock.monotonic()
            if self._token is None or now - self._token_at > TOKEN_AGE_S:
                body = {"name": self._credentials.user, "password": self._credentials.password}
                request = Request(
                    "POST",
                    self._endpoints[place] + wire.AUTHENTICATE,
                    {"content-type": "application/json"},
                    json.dumps(body).encode(),
                )
                answer = await self._transport.call(request, deadline_s=self._try_s)
                if answer.status != 200:
                    self._refuse(answer, request.host)
                self._token = _decoded(_token, answer, "etcd's token").token
                self._token_at = now
            return self._token

    def _is_token_refused(self, answer: Response) -> bool:
        if self._credentials is None or answer.status == 200:
            return False
        refusal = wire.decode_refusal(answer.body)
        return refusal is not None and (
            refusal.code == _UNAUTHENTICATED or any(each in refusal.message for each in _TOKEN_REFUSED)
        )

    def _leave(self, place: int) -> None:
        """The next call tries another endpoint, unless one has moved on already."""
        if place == self._current:
            self._current = (place + 1) % len(self._endpoints)
            leaving, self._leaving = self._leaving, asyncio.Event()
            leaving.set()

    def _refuse(self, answer: Response, host: str) -> None:
        refusal = wire.decode_refusal(answer.body)
        if refusal is None:
            raise Unavailable(f"{host} answered {answer.status}: {answer.text(200)}")
        raise self._error(refusal, host)

    def _error(self, refusal: wire.Refusal, host: str) -> KmError:
        words = f"{host}: {refusal.message}"
        user = repr(self._credentials.user) if self._credentials else "nobody"
        if "CommonName of client" in refusal.message:
            return ConfigRefused(
                f"etcd at {words}; with users switched on etcd's gateway takes only client certificates"
                " without a CommonName: give this scheduler one whose subject has an O and no CN"
            )
        if refusal.code in (_DENIED, _UNAUTHENTICATED) or "authentication failed" in refusal.message:
            return Forbidden(f"etcd at {words}; asked as {user}: check --etcd-user, its password and its role")
        if "user name is empty" in refusal.message:
            return Forbidden(f"etcd at {words}; etcd has users switched on: give --etcd-user and --etcd-password-file")
        if refusal.code == _NOT_FOUND:
            return NotFound(f"etcd at {words}")
        if refusal.code == _COMPACTED:
            return Gone(f"etcd at {words}")
        if refusal.code in _MAY_PASS:
            return Unavailable(words)
        return Invalid(f"etcd at {words}")

    def _news(self, line: bytes, host: str) -> wire.News:
        message = typed.decode(_line, line, "a line of etcd's watch")
        if message.error is not None:
            refusal = wire.Refusal(message.error.code, message.error.message)
            raise self._error(refusal, host)
        news = message.result
        if news is None:
            raise ProtocolError(f"etcd at {host}: a line of its watch has neither result nor error")
        if news.compact_revision:
            raise Gone(f"etcd at {host}: revisions up to {news.compact_revision} are compacted")
        if news.canceled:
            if "permission denied" in news.cancel_reason or "token" in news.cancel_reason:
                self._token = None
            raise Unavailable(f"{host} ended the watch: {news.cancel_reason or 'no reason given'}")
        return news


def _decoded(decoder: msgspec.json.Decoder[T], answer: Response, what: str) -> T:
    """Unavailable: a proxy before etcd, or a gateway in trouble, answers 200 with something else."""
    try:
        return typed.decode(decoder, answer.body, what)
    except ProtocolError as error:
        raise Unavailable(str(error)) from error


async def _until(over: asyncio.Event, lines: AsyncIterator[bytes], late: str) -> AsyncGenerator[bytes, None]:
    """The lines that come before `over` is set; then Unavailable(`late`)."""
    ending = asyncio.ensure_future(over.wait())
    try:
        while True:
            coming = asyncio.ensure_future(anext(lines))
            try:
                await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    raise Unavailable(late)
                yield coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
    finally:
        ending.cancel()


async def _lines(stream: StreamResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream.chunks():
        rest += chunk
        if len(rest) > MAX_LINE_BYTES:
            raise ProtocolError(f"etcd's watch: a line of more than {MAX_LINE_BYTES} bytes")
        *whole, rest = rest.split(b"\n")
        for line in whole:
            if line.strip():
                yield line
