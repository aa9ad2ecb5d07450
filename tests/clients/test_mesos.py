from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest

from kmsched.clients import mesos
from kmsched.clients.http import Request
from kmsched.clients.mesos import Credentials, Disconnected, master_urls
from kmsched.errors import (
    ConfigRefused,
    FrameworkRemoved,
    KmError,
    Unavailable,
)
from kmsched.wire.mesos import ErrorEvent, Heartbeat, Id, Offers, Subscribed, UnknownEvent
from kmsched.wire.recordio import encode
from tests.clients.fakes import FakeClock, Pause, Reply, Silence
from tests.clients.mesos_rig import (
    HEARTBEAT,
    STREAM,
    SUBSCRIBED,
    Rig,
    error,
    record,
    scripted,
    streaming,
)


def test_events_come_as_values_however_the_bytes_are_cut() -> None:
    offers = record("OFFERS", offers={"offers": []})
    stream = SUBSCRIBED + HEARTBEAT + offers + record("NEWS")
    expected = [Subscribed(Id("F"), 15.0), Heartbeat(), Offers([]), UnknownEvent("NEWS")]
    for cut in range(len(stream) + 1):
        assert asyncio.run(Rig(streaming(stream[:cut], stream[cut:])).take(4)) == expected


def test_subscribe_goes_to_the_api_with_id_and_credentials() -> None:
    rig = Rig(streaming(SUBSCRIBED), credentials=Credentials("me", "secret"))
    asyncio.run(rig.take(1))
    (request,) = rig.transport.requests
    assert (request.method, request.url) == ("POST", "http://m1:5050/api/v1/scheduler")
    assert request.headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert request.headers["content-type"] == "application/json"
    assert "mesos-stream-id" not in request.headers
    assert json.loads(request.body or b"")["framework_id"] == {"value": "F"}


def test_a_silent_master_is_left_after_three_heartbeats() -> None:
    rig = Rig(streaming(SUBSCRIBED, HEARTBEAT), masters=("http://m1:5050", "http://m2:5050"))
    items = asyncio.run(rig.take(4))
    assert items[2] == Disconnected("m1:5050 was silent for 45 s", was_subscribed=True)
    assert items[3] == Subscribed(Id("F"), 15.0)
    assert rig.hosts() == ["m1:5050", "m2:5050"]
    assert rig.gates == 2
    assert rig.clock.slept[0] == 45.0


def test_bytes_without_a_record_do_not_feed_the_watchdog() -> None:
    clock = FakeClock()
    handler = streaming(SUBSCRIBED, Pause(clock, 40), b"1", Pause(clock, 40), b"0")
    rig = Rig(handler, clock=clock)
    assert asyncio.run(rig.take(2))[1] == Disconnected("m1:5050 was silent for 45 s", was_subscribed=True)


def test_a_master_that_never_says_subscribed_is_left() -> None:
    rig = Rig(streaming())
    assert asyncio.run(rig.take(1)) == [Disconnected("m1:5050 was silent for 15 s", was_subscribed=False)]


def test_a_stream_that_ends_is_told_and_taken_up_again() -> None:
    ended = Reply(200, (SUBSCRIBED,), STREAM)
    rig = Rig(scripted(ended))
    items = asyncio.run(rig.take(3))
    assert items[1] == Disconnected("m1:5050 ended the stream", was_subscribed=True)
    assert isinstance(items[2], Subscribed)
    assert rig.client.subscription is None


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"<html>not Mesos</html>", "a RecordIO length must be decimal digits"),
        (b"99999999\n", "is above the limit"),
        (encode(b"[]"), "Expected `object`, got `array`"),
        (record("OFFERS"), "comes without its field `offers`"),
        (
            record("SUBSCRIBED", subscribed={"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 0}),
            "heartbeat_interval_seconds must be above 0 and at most 600, not 0",
        ),
        (SUBSCRIBED[:-4], "m1:5050 ended the stream"),
    ],
)
def test_garbage_ends_the_stream_with_a_reason_and_a_wait(stream: bytes, words: str) -> None:
    rig = Rig(scripted(Reply(200, (stream,), STREAM)))
    items = asyncio.run(rig.take(3))
    for item in items:
        assert isinstance(item, Disconnected)
        assert words in item.reason
        assert not item.was_subscribed
    assert len(rig.clock.slept) == 2


def test_a_stream_without_an_id_is_refused() -> None:
    rig = Rig(scripted(Reply(200, (SUBSCRIBED,))))
    (item,) = asyncio.run(rig.take(1))
    assert isinstance(item, Disconnected)
    assert item.reason == "m1:5050 sent SUBSCRIBED without a Mesos-Stream-Id header"


def test_waits_between_attempts_grow_to_the_cap_and_no_further() -> None:
    rig = Rig(scripted(Reply(503, (b"No leader elected",))))
    items = asyncio.run(rig.take(15))
    assert items[0] == Disconnected(
        "the Mesos master m1:5050 answered SUBSCRIBE with 503: No leader elected", was_subscribed=False
    )
    waits = rig.clock.slept
    assert len(waits) == 14
    assert 0.05 <= waits[0] <= 0.1
    assert all(mesos.RECONNECT_CAP_S / 2 <= wait <= mesos.RECONNECT_CAP_S for wait in waits[7:])


def test_streams_that_die_young_back_off_and_one_that_lived_resets() -> None:
    young = Rig(scripted(Reply(200, (SUBSCRIBED,), STREAM)))
    asyncio.run(young.take(24))
    assert young.clock.slept[-1] >= mesos.RECONNECT_CAP_S / 2
    clock = FakeClock()
    lived = Reply(200, (SUBSCRIBED, Pause(clock, mesos.HEALTHY_STREAM_S), HEARTBEAT), STREAM)
    old = Rig(scripted(lived), clock=clock)
    asyncio.run(old.take(24))
    assert clock.slept
    assert max(clock.slept) <= mesos.RECONNECT_BASE_S


@pytest.mark.parametrize("status", [404, 500, 503, 200])
def test_a_master_that_cannot_serve_is_passed_over(status: int) -> None:
    def handler(request: Request) -> Reply:
        if request.host == "m1:5050":
            return Reply(status, (b"starting",), STREAM)
        return Reply(200, (SUBSCRIBED, Silence()), STREAM)

    rig = Rig(handler, masters=("http://m1:5050", "http://m2:5050"))
    first, second = asyncio.run(rig.take(2))
    assert isinstance(first, Disconnected)
    assert isinstance(second, Subscribed)


def test_a_redirect_without_a_scheme_is_followed() -> None:
    def handler(request: Request) -> Reply:
        if request.host == "m1:5050":
            return Reply(307, (), {"location": "//h2:5050/master/api/v1/scheduler"})
        return Reply(200, (SUBSCRIBED, Silence()), STREAM)

    rig = Rig(handler)

    async def scenario() -> None:
        async with aclosing(rig.client.events()) as events:
            assert isinstance(await anext(events), Subscribed)
            subscription = rig.client.subscription
            assert subscription == mesos.Subscription("http://h2:5050/master/api/v1/scheduler", "stream-1", "F")

    asyncio.run(scenario())
    assert rig.hosts() == ["m1:5050", "h2:5050"]
    assert rig.gates == 1


def test_a_redirect_to_a_name_that_does_not_resolve_leads_to_the_next_master() -> None:
    def handler(request: Request) -> Reply:
        if request.host == "m1:5050":
            return Reply(307, (), {"location": "//nowhere:5050/api/v1/scheduler"})
        if request.host == "nowhere:5050":
            raise Unavailable("nowhere:5050: the name does not resolve")
        return Reply(200, (SUBSCRIBED, Silence()), STREAM)

    rig = Rig(handler, masters=("http://m1:5050", "http://m2:5050"))
    first, second = asyncio.run(rig.take(2))
    assert first == Disconnected("nowhere:5050: the name does not resolve", was_subscribed=False)
    assert isinstance(second, Subscribed)


@pytest.mark.parametrize("credentials", [Credentials("me", "s3cret"), None])
def test_nothing_follows_a_redirect_out_of_tls(credentials: Credentials | None) -> None:
    away = Reply(307, (), {"location": "http://evil:1/api/v1/scheduler"})
    rig = Rig(lambda _: away, masters=("https://m1:5050",), credentials=credentials)
    (item,) = asyncio.run(rig.take(1))
    assert isinstance(item, Disconnected)
    assert "redirects to http://evil:1/api/v1/scheduler, and nothing is sent there without TLS: let all" in item.reason
    assert rig.hosts() == ["m1:5050"]


def test_a_redirect_into_tls_and_one_without_a_scheme_are_followed() -> None:
    def handler(request: Request) -> Reply:
        wanted = {"m1:5050": "//m2:5050/x", "m2:5050": "https://m3:5050/y"}
        if request.host in wanted:
            return Reply(307, (), {"location": wanted[request.host]})
        return Reply(200, (SUBSCRIBED, Silence()), STREAM)

    rig = Rig(handler)
    asyncio.run(rig.take(1))
    assert [request.url for request in rig.transport.requests][1:] == ["http://m2:5050/x", "https://m3:5050/y"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(307, (), {"location": "//m1:5050/api/v1/scheduler"}), "more than 3 redirects, the last to http://m1"),
        (Reply(307), "m1:5050 answered 307 without saying where to go"),
    ],
)
def test_redirects_that_lead_nowhere_end(reply: Reply, words: str) -> None:
    (item,) = asyncio.run(Rig(scripted(reply)).take(1))
    assert isinstance(item, Disconnected)
    assert words in item.reason


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(401), ConfigRefused, "SUBSCRIBE with 401: (nothing); it does not know principal 'me' with this secret"),
        (
            Reply(403, (b"no",)),
            ConfigRefused,
            "403: no; the master's ACL register_frameworks does not let principal 'me'",
        ),
        (Reply(400, (b"bad principal",)), ConfigRefused, "400: bad principal; it holds another principal for this"),
        (
            Reply(200, (error("Framework has been removed"),), STREAM),
            FrameworkRemoved,
            "'Framework has been removed'",
        ),
        (
            Reply(200, (error("Not authorized to register framework with roles { x }"),), STREAM),
            ConfigRefused,
            "roles { x }'; the master's ACL register_frameworks does not let principal 'me' use --mesos-role=*",
        ),
    ],
)
def test_what_trying_again_cannot_help_is_fatal(reply: Reply, kind: type[KmError], words: str) -> None:
    rig = Rig(scripted(reply), credentials=Credentials("me", "s3cret"))
    with pytest.raises(kind) as caught:
        asyncio.run(rig.take(1))
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_failed_over_is_told_and_ends_the_events() -> None:
    rig = Rig(streaming(SUBSCRIBED, error("Framework failed over")))
    items = asyncio.run(rig.take(10))
    assert items[1:] == [ErrorEvent("Framework failed over")]
    assert rig.client.subscription is None
    assert rig.gates == 1


def test_what_the_gate_raises_comes_through() -> None:
    async def closed() -> str | None:
        raise FrameworkRemoved("by the gate")

    rig = Rig(streaming(SUBSCRIBED), gate=closed)
    with pytest.raises(FrameworkRemoved, match="by the gate"):
        asyncio.run(rig.take(1))
    assert rig.transport.requests == []


def test_masters_are_addresses_or_urls() -> None:
    assert master_urls("a:5050, http://b:5051/,https://[::1]:5052") == (
        "http://a:5050",
        "http://b:5051",
        "https://[::1]:5052",
    )


@pytest.mark.parametrize("masters", ["", "a", "a:b", "zk://a:2181/mesos", "a:5050,,b:5050", "http://:5050", "a:99999"])
def test_other_masters_are_refused(masters: str) -> None:
    with pytest.raises(ConfigRefused, match="must be host:port or http"):
        master_urls(masters)
