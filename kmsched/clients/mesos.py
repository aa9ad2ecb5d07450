"""The Mesos v1 scheduler API: one stream of events, one ordered sequence of calls.

Knows masters, redirects, the stream id, heartbeats and when to connect again.  Refuses to know offers, tasks and
who may lead: before each SUBSCRIBE it asks a gate, which waits for the right to subscribe and tells the framework id.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from urllib.parse import urljoin, urlsplit

from kmsched.clients import mesos_refusals
from kmsched.clients.backoff import Backoff
from kmsched.clients.http import Request, Response, StreamResponse, Transport, excerpt, within
from kmsched.clients.mesos_refusals import Identity
from kmsched.clock import Clock
from kmsched.errors import (
    ConfigRefused,
    FrameworkRemoved,
    Invalid,
    NotSubscribed,
    ProtocolError,
    Unavailable,
)
from kmsched.wire import mesos as wire
from kmsched.wire import mesos_calls, recordio
from kmsched.wire.mesos_calls import Call, FrameworkInfo

SCHEDULER_API = "/api/v1/scheduler"
CONNECT_S = 5.0
CALL_DEADLINE_S = 5.0
#: SUBSCRIBED follows the response's headers at once.
FIRST_RECORD_S = 15.0
#: So many heartbeat intervals without any record, and the master is held to be gone.
SILENT_HEARTBEATS = 3
MAX_HEARTBEAT_S = 600.0
#: The transport's own limit; the watchdog of heartbeats is always stricter.
IDLE_S = SILENT_HEARTBEATS * MAX_HEARTBEAT_S
MAX_REDIRECTS = 3
MAX_WAITING_CALLS = 1000
RECONNECT_BASE_S = 0.1
RECONNECT_CAP_S = 5.0
#: A stream that lived so long was a success; one that breaks sooner goes on backing off.
HEALTHY_STREAM_S = 30.0
ERROR_TEXT_BYTES = 2000

#: Words of ERROR events and refusals, in lower case, as Mesos 1.11 puts them.
REMOVED_WORDS = ("framework has been removed", "completed framework")
UNAUTHORIZED_WORDS = ("not authorized",)
NOT_SUBSCRIBED_WORDS = ("stream id", "mesos-stream-id", "not subscribed", "cannot be found", "not connected")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Basic authentication: Mesos' principal and secret."""

    principal: str
    secret: str

    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.principal}:{self.secret}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Disconnected:
    """No calls can be sent until the next Subscribed; `was_subscribed` is False for an attempt that failed."""

    reason: str
    was_subscribed: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    """One SUBSCRIBE that Mesos took: calls go to `url` with `stream_id`, and are worth nothing later."""

    url: str
    stream_id: str
    framework_id: str


Item = wire.SchedulerEvent | Disconnected
#: Awaited before each SUBSCRIBE: waits until we may, and tells the framework id (None: Mesos makes one).
Gate = Callable[[], Awaitable[str | None]]


def master_urls(masters: str) -> tuple[str, ...]:
    """Base URLs from `host:port,host:port` or URLs.  ConfigRefused names the part that is neither."""
    urls = []
    for part in (piece.strip() for piece in masters.split(",")):
        url = part if "://" in part else f"http://{part}"
        try:
            split = urlsplit(url)
            usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port is not None
        except ValueError:
            usable = False
        if not usable:
            raise ConfigRefused(f"the Mesos master {part!r} must be host:port or http(s)://host:port (in {masters!r})")
        urls.append(url.rstrip("/"))
    return tuple(urls)


def redirected(url: str, location: str) -> str:
    """Where to go on.  Unavailable: there what was said under TLS, a secret perhaps, would go in the clear."""
    try:
        target = urljoin(url, location)
        is_downgrade = urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
    except ValueError as error:
        raise Unavailable(f"{url} redirects to {location!r}, which is no URL: {error}") from error
    if is_downgrade:
        raise Unavailable(
            f"{url} redirects to {target}, and nothing is sent there without TLS: let all masters speak it, or all of"
            " --mesos-master be http://"
        )
    return target


class MesosScheduler:
    """A scheduler's connection to whichever of `masters` (base URLs) leads."""

    def __init__(
        self,
        masters: Sequence[str],
        framework: FrameworkInfo,
        gate: Gate,
        *,
        transport: Transport,
        clock: Clock,
        rng: Random,
        credentials: Credentials | None = None,
        call_deadline_s: float = CALL_DEADLINE_S,
    ) -> None:
        if not masters:
            raise ConfigRefused("no Mesos master is given: set at least one host:port")
        self._masters = tuple(masters)
        self._framework = framework
        self._gate = gate
        self._transport = transport
        self._clock = clock
        self._credentials = credentials
        self._call_deadline_s = call_deadline_s
        self._backoff = Backoff(RECONNECT_BASE_S, RECONNECT_CAP_S, rng)
        self._next_master = 0
        self._subscription: Subscription | None = None
        # First come, first served: asyncio's lock wakes its waiters in their order.
        self._turn = asyncio.Lock()
        self._waiting_calls = 0

    @property
    def identity(self) -> Identity:
        """As whom it is known, for words about what is refused."""
        principal = self._credentials.principal if self._credentials else self._framework.principal
        return Identity(principal or None, tuple(self._framework.roles), self._framework.user)

    def renew(self, credentials: Credentials) -> None:
        """For every call from now on, and the next SUBSCRIBE; the stream goes on."""
        self._credentials = credentials

    @property
    def subscription(self) -> Subscription | None:
        """The one that stands now, if any."""
        return self._subscription

    async def events(self) -> AsyncGenerator[Item, None]:
        """Everything the leading master says, over all reconnections; read it by one consumer.

        Ends after an ErrorEvent ("Framework failed over" and the like): the caller decides whether to iterate
        again.  ConfigRefused: credentials or framework are not accepted.  FrameworkRemoved: the id is completed.
        Whatever the gate raises comes through.
        """
        while True:
            was_subscribed = False
            started = self._clock.monotonic()
            try:
                async with aclosing(self._stream_events()) as events:
                    async for event in events:
                        was_subscribed = True
                        yield event
                        if isinstance(event, wire.ErrorEvent):
                            return
            except (Unavailable, ProtocolError) as error:
                reason = str(error)
            if was_subscribed and self._clock.monotonic() - started >= HEALTHY_STREAM_S:
                self._backoff.reset()
            yield Disconnected(reason, was_subscribed)
            await self._clock.sleep(self._backoff.next_s())

    async def call(self, call: Call) -> None:
        """Send one call after all earlier ones were answered, within the subscription that stands now.

        NotSubscribed: there is none, or it ended before the call's turn, or Mesos says so.  Unavailable: no
        answer in time (the call may still take effect) or too many calls wait.  Invalid: Mesos refuses it.
        """
        subscription = self._subscription
        if subscription is None:
            raise NotSubscribed(f"{call.kind} cannot be sent: no subscription with a Mesos master stands")
        if self._waiting_calls >= MAX_WAITING_CALLS:
            raise Unavailable(f"{call.kind} is not sent: {MAX_WAITING_CALLS} calls to Mesos wait already")
        self._waiting_calls += 1
        try:
            async with self._turn:
                if self._subscription is not subscription:
                    raise NotSubscribed(f"{call.kind} is not sent: its subscription ended before its turn")
                request = self._request(
                    subscription.url, call.encode(subscription.framework_id), subscription.stream_id
                )
                reply = await self._transport.call(request, deadline_s=self._call_deadline_s)
        finally:
            self._waiting_calls -= 1
        check_call(call.kind, request.host, reply)

    async def _stream_events(self) -> AsyncGenerator[wire.SchedulerEvent, None]:
        """The events of one subscription; Unavailable or ProtocolError tells why it ended."""
        framework_id = await self._gate()
        url = self._masters[self._next_master] + SCHEDULER_API
        # Wherever this attempt fails, the next one asks the next master.
        self._next_master = (self._next_master + 1) % len(self._masters)
        body = mesos_calls.subscribe(self._framework, framework_id).encode(framework_id)
        for _ in range(MAX_REDIRECTS + 1):
            request = self._request(url, body)
            async with self._transport.stream(request, connect_s=CONNECT_S, idle_s=IDLE_S) as reply:
                if reply.status == 200:
                    try:
                        async with aclosing(self._records(request, reply)) as events:
                            async for event in events:
                                yield event
                    finally:
                        self._subscription = None
                    raise Unavailable(f"{request.host} ended the stream")
                location = reply.headers.get("location", "")
                if not 300 <= reply.status < 400:
                    raise self._refusal(request.host, reply.status, await reply.read(ERROR_TEXT_BYTES))
            if not location:
                raise Unavailable(f"{request.host} answered {reply.status} without saying where to go")
            url = redirected(url, location)
        raise Unavailable(f"{self._masters[0]}: more than {MAX_REDIRECTS} redirects, the last to {url}")

    async def _records(self, request: Request, reply: StreamResponse) -> AsyncGenerator[wire.SchedulerEvent, None]:
        decoder = recordio.Decoder()
        chunks = aiter(reply.chunks())
        limit_s = FIRST_RECORD_S
        last_record = self._clock.monotonic()
        while True:
            left_s = last_record + limit_s - self._clock.monotonic()
            late = f"{request.host} was silent for {limit_s:g} s"
            try:
                chunk = await within(self._clock, max(0.0, left_s), anext(chunks), late)
            except StopAsyncIteration:
                return
            for record in decoder.feed(chunk):
                last_record = self._clock.monotonic()
                event = wire.scheduler_event(record)
                if isinstance(event, wire.Subscribed):
                    limit_s = SILENT_HEARTBEATS * _heartbeat_s(event)
                    self._subscription = _subscription(request, reply, event)
                elif isinstance(event, wire.ErrorEvent):
                    self._subscription = None
                    self._raise_if_final(event)
                yield event

    def _request(self, url: str, body: bytes, stream_id: str | None = None) -> Request:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._credentials is not None:
            headers["authorization"] = self._credentials.header()
        if stream_id is not None:
            headers["mesos-stream-id"] = stream_id
        return Request("POST", url, headers, body)

    def _refusal(self, host: str, status: int, body: bytes) -> Exception:
        words = excerpt(body)
        said = f"the Mesos master {host} answered SUBSCRIBE with {status}: {words}"
        if status == 401:
            return ConfigRefused(f"{said}; {mesos_refusals.unauthenticated(self.identity)}")
        if status == 403:
            return ConfigRefused(f"{said}; {mesos_refusals.unauthorized(words, self.identity)}")
        if status == 400:
            return ConfigRefused(f"{said}; {mesos_refusals.invalid(words, self.identity)}")
        return Unavailable(said)

    def _raise_if_final(self, event: wire.ErrorEvent) -> None:
        words = event.message.lower()
        if any(each in words for each in REMOVED_WORDS):
            raise FrameworkRemoved(f"Mesos says {event.message!r}: this framework id is completed and cannot come back")
        if any(each in words for each in UNAUTHORIZED_WORDS):
            raise ConfigRefused(
                f"Mesos says {event.message!r}; {mesos_refusals.unauthorized(event.message, self.identity)}"
            )


def _subscription(request: Request, reply: StreamResponse, event: wire.Subscribed) -> Subscription:
    stream_id = reply.headers.get("mesos-stream-id")
    if not stream_id:
        raise ProtocolError(f"{request.host} sent SUBSCRIBED without a Mesos-Stream-Id header")
    return Subscription(request.url, stream_id, event.framework_id.value)


def _heartbeat_s(event: wire.Subscribed) -> float:
    interval_s = event.heartbeat_interval_seconds
    if not 0 < interval_s <= MAX_HEARTBEAT_S:
        raise ProtocolError(f"heartbeat_interval_seconds must be above 0 and at most 600, not {interval_s:g}")
    return interval_s


def check_call(kind: str, host: str, reply: Response) -> None:
    """Raise what the answer to a call means, if it was not taken; errors as for `MesosScheduler.call`."""
    # UPDATE_FRAMEWORK alone is answered by 200.
    if reply.status in (200, 202):
        return
    said = f"the Mesos master {host} answered {kind} with {reply.status}: {reply.text()}"
    words = reply.text(ERROR_TEXT_BYTES).lower()
    if 300 <= reply.status < 400:
        raise NotSubscribed(f"{said} (it no longer leads)")
    if reply.status in (400, 403) and any(each in words for each in NOT_SUBSCRIBED_WORDS):
        raise NotSubscribed(said)
    if reply.status in (401, 404, 429) or reply.status >= 500:
        raise Unavailable(said)
    raise Invalid(said)
