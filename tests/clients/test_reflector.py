from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from kmsched.clients import reflector
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.reflector import Changed, Interrupted, LineSplitter, Listed, Reflector, Undecodable, Watching
from kmsched.errors import ConfigRefused, ProtocolError
from tests.clients.fakes import FakeClock, HandlerTransport, Piece, Reply, Silence, refused

Pod = tuple[str, str]
Item = Listed[Pod] | Changed[Pod] | Interrupted | Undecodable


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns", "resourceVersion": str(version)}}


def decode(body: bytes) -> Pod:
    metadata = msgspec.json.decode(body)["metadata"]
    if metadata["name"] == "poison":
        raise ProtocolError("poison is no pod")
    return metadata["name"], metadata["resourceVersion"]


def listing(*pods: dict[str, Any], version: int = 10, more: str = "") -> Reply:
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return Reply(200, (json.dumps({"metadata": metadata, "items": list(pods)}).encode(),))


def event(type_: str, object_: object) -> bytes:
    return json.dumps({"type": type_, "object": object_}).encode() + b"\n"


def watching(*pieces: Piece) -> Reply:
    return Reply(200, pieces)


EXPIRED = {"kind": "Status", "code": 410, "message": "too old resource version"}


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def is_watch(request: Request) -> bool:
    return "watch" in query(request)


class Rig:
    """A reflector whose lists and watches are answered from two scripts; the last watch stays silent."""

    def __init__(
        self,
        lists: Sequence[Reply],
        watches: Sequence[Reply] = (),
        handler: Callable[[Request], Reply] | None = None,
        field_selector: str | None = None,
    ) -> None:
        self._lists = list(lists)
        self._watches = [*watches, watching(Silence())]
        self.watches_that_stood = 0
        self.clock = FakeClock()
        self.transport = HandlerTransport(handler or self._answer)
        access = KubeAccess(("https://a:1", "https://b:1"), TlsSettings(), "km")
        kube = KubeClient(access, make_transport=lambda tls: self.transport, clock=self.clock)
        self.reflector = Reflector(
            kube,
            "/api/v1/pods",
            decode=decode,
            clock=self.clock,
            rng=Random(5),
            field_selector=field_selector,
        )

    def _answer(self, request: Request) -> Reply:
        script = self._watches if is_watch(request) else self._lists
        return script.pop(0) if len(script) > 1 else script[0]

    def take(self, count: int) -> list[Item]:
        async def read() -> list[Item]:
            items: list[Item] = []
            async with aclosing(self.reflector.changes()) as changes:
                async for item in changes:
                    if isinstance(item, Watching):
                        self.watches_that_stood += 1
                        continue
                    items.append(item)
                    if len(items) == count:
                        break
            return items

        return asyncio.run(read())

    def watched_from(self) -> list[str]:
        return [query(request)["resourceVersion"] for request in self.transport.requests if is_watch(request)]

    def lists(self) -> int:
        return sum(not is_watch(request) for request in self.transport.requests)


def test_a_list_then_its_changes() -> None:
    rig = Rig(
        [listing(pod("a", 1), pod("b", 2))],
        [watching(event("ADDED", pod("c", 11)), event("MODIFIED", pod("a", 12)), event("DELETED", pod("b", 13)))],
        field_selector="spec.nodeName=n",
    )
    assert rig.take(4) == [
        Listed((("a", "1"), ("b", "2")), "10"),
        Changed("ADDED", ("c", "11")),
        Changed("MODIFIED", ("a", "12")),
        Changed("DELETED", ("b", "13")),
    ]
    first, second = (query(request) for request in rig.transport.requests)
    assert first == {"limit": "500", "fieldSelector": "spec.nodeName=n"}
    assert reflector.WATCH_S <= int(second.pop("timeoutSeconds")) <= 2 * reflector.WATCH_S
    assert second == {
        "watch": "1",
        "resourceVersion": "10",
        "allowWatchBookmarks": "true",
        "fieldSelector": "spec.nodeName=n",
    }


@pytest.mark.parametrize("cut", range(len(event("ADDED", pod("c", 11))) * 2 + 1))
def test_changes_come_however_the_bytes_are_cut(cut: int) -> None:
    stream = event("ADDED", pod("c", 11)) + event("ADDED", pod("d", 12))
    items = Rig([listing()], [watching(stream[:cut], stream[cut:])]).take(3)
    assert items[1:] == [Changed("ADDED", ("c", "11")), Changed("ADDED", ("d", "12"))]


def test_that_a_watch_stands_is_told_though_nothing_changes() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    rig = Rig([listing()], [watching(bookmark), watching(event("ADDED", pod("a", 21)))])
    rig.take(2)
    assert rig.watches_that_stood == 2


def test_pages_make_one_list() -> None:
    rig = Rig([listing(pod("a", 1), more="next"), listing(pod("b", 2), version=11)])
    assert rig.take(1) == [Listed((("a", "1"), ("b", "2")), "11")]
    assert [query(request).get("continue") for request in rig.transport.requests] == [None, "next"]


def test_no_items_may_be_null() -> None:
    body = b'{"metadata":{"resourceVersion":"3"},"items":null}'
    assert Rig([Reply(200, (body,))]).take(1) == [Listed((), "3")]


def test_a_page_that_expired_starts_the_list_again() -> None:
    rig = Rig([listing(pod("a", 1), more="next"), Reply(410, (b"expired",)), listing(pod("b", 2))])
    first, second = rig.take(2)
    assert isinstance(first, Interrupted)
    assert first.reason.startswith("/api/v1/pods: GET https://a:1/api/v1/pods was answered 410: expired")
    assert second == Listed((("b", "2"),), "10")


def test_a_watch_that_ends_goes_on_from_the_last_change_or_bookmark() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    rig = Rig(
        [listing()],
        [
            watching(event("ADDED", pod("a", 12))),
            watching(bookmark),
            watching(event("ADDED", pod("b", 21))),
            watching(event("ADDED", pod("c", 22))),
        ],
    )
    items = rig.take(4)
    assert items[1:] == [Changed("ADDED", (name, version)) for name, version in (("a", "12"), ("b", "21"), ("c", "22"))]
    assert rig.watched_from() == ["10", "12", "20", "21"]
    assert rig.lists() == 1


@pytest.mark.parametrize("expired", [Reply(410, (b"expired",)), watching(event("ERROR", EXPIRED))])
def test_410_lists_again(expired: Reply) -> None:
    rig = Rig([listing(pod("a", 1)), listing(pod("b", 30), version=30)], [expired])
    items = rig.take(3)
    assert isinstance(items[1], Interrupted)
    assert "listing again" in items[1].reason
    assert items[2] == Listed((("b", "30"),), "30")


def test_endless_410_waits_longer_and_longer_up_to_the_cap() -> None:
    rig = Rig([listing()], [watching(event("ERROR", EXPIRED))] * 40)
    rig.take(40)
    waits = rig.clock.slept
    assert waits[0] <= reflector.RETRY_BASE_S
    assert all(reflector.RETRY_CAP_S / 2 <= wait <= reflector.RETRY_CAP_S for wait in waits[9:])


def test_another_error_event_goes_on_from_the_same_version() -> None:
    rig = Rig([listing()], [watching(event("ERROR", {"code": 500, "message": "etcd"}))])
    items = rig.take(2)
    assert items[1] == Interrupted("/api/v1/pods: the watch was ended with 500: etcd")

    rig = Rig([listing()], [watching(event("ERROR", {"code": 500})), watching(event("ADDED", pod("a", 11)))])
    assert rig.take(3)[2] == Changed("ADDED", ("a", "11"))
    assert rig.watched_from() == ["10", "10"]
    # The other API server is asked after a failure.
    assert [request.host for request in rig.transport.requests] == ["a:1", "a:1", "b:1"]


def test_watches_that_end_at_once_back_off() -> None:
    rig = Rig([listing()], [watching()] * 20)
    items = rig.take(12)
    assert items[1] == Interrupted("/api/v1/pods: the watch ended at once")
    assert len(rig.clock.slept) == 10
    assert rig.clock.slept[-1] >= reflector.RETRY_CAP_S / 2


def test_an_unreachable_server_is_tried_for_ever_but_slowly() -> None:
    def handler(request: Request) -> Reply:
        raise refused(request)

    rig = Rig([], handler=handler)
    items = rig.take(10)
    assert items[0] == Interrupted("/api/v1/pods: a:1: no connection: Connection refused")
    assert items[1] == Interrupted("/api/v1/pods: b:1: no connection: Connection refused")
    assert rig.clock.slept[-1] >= reflector.RETRY_CAP_S / 2


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (b"<html>\n", "a watch event is not what the protocol allows"),
        (b'{"type":"ADDED"}\n', "missing required field `object`"),
        (b'{"type":5,"object":{}}\n', "at `$.type`"),
        (event("ADDED", []), "an object of a watch event is not what the protocol allows"),
        (event("ADDED", {"metadata": {"name": "x"}}), "has no metadata.resourceVersion"),
        (event("ADDED", {"metadata": {"resourceVersion": 5}}), "at `$.metadata.resourceVersion`"),
        (event("ERROR", []), "the status of an ERROR event is not what the protocol allows"),
        (b"x" * (reflector.MAX_LINE_BYTES + 1), "a watch event is longer than 8388608 bytes"),
    ],
)
def test_garbage_in_a_watch_lists_again_after_a_wait(piece: bytes, words: str) -> None:
    rig = Rig([listing()], [watching(piece)])
    items = rig.take(3)
    assert isinstance(items[1], Interrupted)
    assert words in items[1].reason
    assert isinstance(items[2], Listed)
    assert len(rig.clock.slept) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "a list is not what the protocol allows"),
        (b'{"metadata":{},"items":[]}', "the list of /api/v1/pods has no metadata.resourceVersion"),
        (b'{"metadata":{"resourceVersion":"1"},"items":{}}', "at `$.items`"),
    ],
)
def test_garbage_for_a_list_is_told_and_tried_again(body: bytes, words: str) -> None:
    items = Rig([Reply(200, (body,)), listing()]).take(2)
    assert isinstance(items[0], Interrupted)
    assert words in items[0].reason
    assert items[1] == Listed((), "10")


def test_an_object_that_cannot_be_decoded_is_left_out() -> None:
    rig = Rig(
        [listing(pod("a", 1), pod("poison", 2))],
        [watching(event("ADDED", pod("poison", 11)), event("ADDED", pod("b", 12)))],
    )
    assert rig.take(4) == [
        Undecodable("ns/poison is left out: poison is no pod"),
        Listed((("a", "1"),), "10"),
        Undecodable("ns/poison is left out: poison is no pod"),
        Changed("ADDED", ("b", "12")),
    ]


def test_types_of_tomorrow_are_ignored() -> None:
    rig = Rig([listing()], [watching(event("SHRUNK", pod("a", 11)), event("ADDED", pod("b", 12)))])
    assert rig.take(2)[1] == Changed("ADDED", ("b", "12"))


def test_forbidden_is_told_and_tried_again() -> None:
    items = Rig([Reply(403, (b'{"message":"no right to list"}',)), listing()]).take(2)
    assert isinstance(items[0], Interrupted)
    assert "answered 403: no right to list (user 'km')" in items[0].reason
    assert isinstance(items[1], Listed)


def test_what_is_wrong_here_comes_through() -> None:
    def handler(request: Request) -> Reply:
        raise ConfigRefused("the token file is empty")

    with pytest.raises(ConfigRefused, match="the token file is empty"):
        Rig([], handler=handler).take(1)


def test_lines_are_split_in_linear_pieces() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"one\ntwo\nthr") == [b"one", b"two"]
    assert splitter.feed(b"ee") == []
    assert splitter.feed(b"\n\r\n\n") == [b"three"]
    with pytest.raises(ProtocolError, match="longer than 10 bytes"):
        splitter.feed(b"12345678901\n")
