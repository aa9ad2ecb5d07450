from __future__ import annotations

import asyncio
import json

import pytest

from kmsched.clients import etcd
from kmsched.clients.etcd import Credentials, EtcdClient
from kmsched.clients.http import Request, Response
from kmsched.errors import ConfigRefused, Forbidden, Gone, Invalid, KmError, NotFound, Unavailable
from kmsched.wire.etcd import Created, Delete, Get, Put, prefix_end
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.clients.fakes import FakeClock, HandlerTransport, Reply
from tests.virtual_time import VirtualClock

A, B, C = "http://a:2379", "http://b:2379", "http://c:2379"


def refusing(status: int, code: int, message: str) -> Reply:
    return Reply(status, (json.dumps({"code": code, "message": message}).encode(),))


def client(transport: HandlerTransport, credentials: Credentials | None = None) -> EtcdClient:
    return EtcdClient([A, B], transport, FakeClock(), call_deadline_s=1.0, credentials=credentials)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refusing(403, 7, "etcdserver: permission denied"), Forbidden, "asked as nobody"),
        (refusing(400, 3, "etcdserver: user name is empty"), Forbidden, "give --etcd-user"),
        (refusing(400, 3, "CommonName of client sending a request against gateway"), ConfigRefused, "no CN"),
        (refusing(404, 5, "etcdserver: requested lease not found"), NotFound, "lease not found"),
        (refusing(400, 9, "etcdserver: lease already exists"), Invalid, "already exists"),
        (refusing(400, 11, "etcdserver: mvcc: required revision has been compacted"), Gone, "compacted"),
        (refusing(503, 14, "etcdserver: no leader"), Unavailable, "no leader"),
        (Reply(502, (b"<html>proxy",)), Unavailable, "502"),
        (Reply(200, (b"<html>",)), Unavailable, "etcd's transaction is not what the protocol allows"),
        (Reply(200, (b'{"succeeded":"perhaps"}',)), Unavailable, "succeeded"),
    ],
)
def test_what_etcd_refuses(reply: Reply, kind: type[KmError], words: str) -> None:
    transport = HandlerTransport(lambda _: reply)
    with pytest.raises(kind, match=words):
        asyncio.run(client(transport).txn([], [Get("k")]))
    assert len(transport.requests) == 1, "a transaction is sent once"


def test_reads_go_on_to_the_next_endpoint_and_stay_there() -> None:
    def handler(request: Request) -> Reply:
        if request.url.startswith(A):
            raise Unavailable("a: no connection: Connection refused")
        return Reply(200, (b'{"header":{"revision":"7"}}',))

    async def main() -> None:
        transport = HandlerTransport(handler)
        one = client(transport)
        for _ in range(3):
            assert (await one.range("k")).header.revision == 7
        assert [request.host for request in transport.requests] == ["a:2379", "b:2379", "b:2379", "b:2379"]

    asyncio.run(main())


def test_all_endpoints_together_take_no_longer_than_the_deadline() -> None:
    async def main() -> None:
        clock = VirtualClock()
        ways = EtcdWays(EtcdModel(clock), {each: Way(is_frozen=True) for each in (A, B, C)})
        one = EtcdClient([A, B, C], ways, clock, call_deadline_s=1.6)
        with pytest.raises(Unavailable, match="did not answer within"):
            await one.keepalive(1)
        assert clock.monotonic() == pytest.approx(1.6)
        assert [host for host, _ in ways.calls] == ["a:2379", "b:2379", "c:2379"]

    virtual_time.run(main())


def test_keys_leases_and_transactions() -> None:
    async def main() -> None:
        clock = VirtualClock()
        model = EtcdModel(clock)
        one = EtcdClient([A], EtcdWays(model, {A: Way()}), clock, call_deadline_s=1.0)
        assert await one.grant(77, 5) == 5
        made = await one.txn([Created("/k/a", 0)], [Put("/k/a", b"\xff\x00", 77)], [Get("/k/a")])
        assert made.succeeded
        again = await one.txn([Created("/k/a", 0)], [Put("/k/a", b"2")], [Get("/k/a")])
        found = again.found(0)
        assert found is not None
        assert not again.succeeded
        assert (found.name, found.value, found.create_revision, found.lease) == (
            "/k/a",
            b"\xff\x00",
            made.header.revision,
            77,
        )
        assert [kv.name for kv in (await one.range("/k/", is_prefix=True)).kvs] == ["/k/a"]
        assert await one.keepalive(77) == 5
        assert await one.revoke(77)
        assert not await one.revoke(77)
        assert await one.keepalive(77) == 0
        assert (await one.range("/k/a")).kvs == []
        await one.txn([], [Delete("/k/a")])

    virtual_time.run(main())


def test_a_token_is_fetched_once_and_again_when_refused() -> None:
    tokens = iter(("first", "second"))
    valid = ["first"]

    def handler(request: Request) -> Reply:
        if request.url.endswith("/v3/auth/authenticate"):
            assert json.loads(request.body or b"") == {"name": "km", "password": "pw"}
            return Reply(200, (json.dumps({"token": next(tokens)}).encode(),))
        if request.headers["authorization"] != valid[0]:
            return refusing(401, 16, "etcdserver: invalid auth token")
        return Reply(200, (b"{}",))

    async def main() -> None:
        transport = HandlerTransport(handler)
        one = client(transport, Credentials("km", "pw"))
        await one.txn([], [])
        await one.txn([], [])
        valid[0] = "second"
        await one.txn([], [])
        paths = [request.url.removeprefix(A) for request in transport.requests]
        auth, txn = "/v3/auth/authenticate", "/v3/kv/txn"
        assert paths == [auth, txn, txn, txn, auth, txn]

    asyncio.run(main())


def test_a_token_is_renewed_before_etcd_forgets_it() -> None:
    count = 0

    def handler(request: Request) -> Reply:
        nonlocal count
        if request.url.endswith("/v3/auth/authenticate"):
            count += 1
            return Reply(200, (b'{"token":"t"}',))
        return Reply(200, (b"{}",))

    async def main() -> None:
        clock = FakeClock()
        one = EtcdClient(
            [A], HandlerTransport(handler), clock, call_deadline_s=1.0, credentials=Credentials("km", "pw")
        )
        await one.txn([], [])
        clock.now_s += etcd.TOKEN_AGE_S + 1
        await one.txn([], [])

    asyncio.run(main())
    assert count == 2


def test_a_token_of_before_a_change_of_users_is_taken_anew() -> None:
    """etcd says so of JWTs, as of a request that is wrong in itself."""
    tokens = iter(("old", "new"))

    def handler(request: Request) -> Reply:
        if request.url.endswith("/v3/auth/authenticate"):
            return Reply(200, (json.dumps({"token": next(tokens)}).encode(),))
        if request.headers["authorization"] == "old":
            return refusing(400, 3, "etcdserver: revision of auth store is old")
        return Reply(200, (b'{"header":{"revision":"3"}}',))

    answer = asyncio.run(client(HandlerTransport(handler), Credentials("km", "pw")).range("k"))
    assert answer.header.revision == 3


def test_a_token_of_before_a_restore_is_not_kept_when_nobody_answers() -> None:
    """etcd waits until it has caught up with the token, which takes as long as all that the backup had not seen."""
    tokens = iter(("old", "new"))

    def handler(request: Request) -> Reply:
        if request.url.endswith("/v3/auth/authenticate"):
            return Reply(200, (json.dumps({"token": next(tokens)}).encode(),))
        if request.headers["authorization"] == "old":
            raise Unavailable("did not answer within 0.5 s")
        return Reply(200, (b'{"header":{"revision":"3"}}',))

    async def main() -> None:
        one = client(HandlerTransport(handler), Credentials("km", "pw"))
        with pytest.raises(Unavailable):
            await one.range("k")
        assert (await one.range("k")).header.revision == 3

    asyncio.run(main())


def test_many_who_wait_for_one_token_wait_no_longer_than_their_deadline() -> None:
    class Transport(HandlerTransport):
        async def call(self, request: Request, *, deadline_s: float) -> Response:
            if request.url.startswith(A):  # frozen
                await asyncio.sleep(deadline_s)
                raise Unavailable("did not answer")
            return await super().call(request, deadline_s=deadline_s)

    def handler(request: Request) -> Reply:
        if request.url.endswith("/v3/auth/authenticate"):
            return Reply(200, (b'{"token":"t"}',))
        return Reply(200, (b'{"header":{"revision":"3"}}',))

    async def main() -> None:
        clock = VirtualClock()
        one = EtcdClient([A, B], Transport(handler), clock, call_deadline_s=1.6, credentials=Credentials("km", "pw"))
        answers = await asyncio.gather(*(one.range("k") for _ in range(6)))
        assert [each.header.revision for each in answers] == [3] * 6
        assert clock.monotonic() <= 1.6

    virtual_time.run(main())


def test_what_answers_200_without_a_revision_is_no_etcd() -> None:
    with pytest.raises(Unavailable, match="without a revision"):
        asyncio.run(client(HandlerTransport(lambda _: Reply(200, (b"{}",)))).range("k"))


def test_a_wrong_password_is_told_with_the_user() -> None:
    transport = HandlerTransport(
        lambda _: refusing(400, 3, "etcdserver: authentication failed, invalid user ID or password")
    )
    with pytest.raises(Forbidden, match="asked as 'km': check --etcd-user, its password"):
        asyncio.run(client(transport, Credentials("km", "bad")).range("k"))


async def first_news(body: bytes, pieces: int = 1) -> list[object]:
    step = max(1, len(body) // pieces)
    cut = tuple(body[at : at + step] for at in range(0, len(body), step))
    transport = HandlerTransport(lambda _: Reply(200, cut))
    found: list[object] = []
    try:
        async for news in client(transport).watch("/k/", 5):
            found.append(news)
    except KmError as error:
        found.append(error)
    return found


LINES = (
    b'{"result":{"header":{"revision":"5"},"created":true}}\n'
    b'{"result":{"header":{"revision":"6"},"events":[{"type":"DELETE","kv":{"key":"aw==","mod_revision":"6"}}]}}\n'
)


@pytest.mark.parametrize("pieces", [1, 2, 7, 1000])
def test_a_watch_however_its_bytes_are_cut(pieces: int) -> None:
    created, deleted, end = asyncio.run(first_news(LINES, pieces))
    assert created.created  # type: ignore[attr-defined]
    assert deleted.events[0].is_deletion  # type: ignore[attr-defined]
    assert deleted.events[0].kv.name == "k"  # type: ignore[attr-defined]
    assert isinstance(end, Unavailable)


def test_a_watch_breaks_when_calls_have_left_its_endpoint() -> None:
    """A host without power ends no connection: its watch would stay silent for ever."""

    async def main() -> None:
        clock = VirtualClock()
        ways = EtcdWays(EtcdModel(clock), {A: Way(), B: Way()})
        one = EtcdClient([A, B], ways, clock, call_deadline_s=1.0)
        watch = one.watch("/k/", 2)
        assert (await anext(watch)).created
        silent = asyncio.ensure_future(anext(watch))
        await one.range("k")
        ways.ways[A].is_frozen = True
        assert not silent.done()
        await one.range("k")
        with pytest.raises(Unavailable, match="a:2379 leaves calls without an answer"):
            await silent
        assert clock.monotonic() < 1.0
        assert ways.model.watchers == []
        again = one.watch("/k/", 2)
        assert (await anext(again)).created
        await again.aclose()

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (b'{"result":{"canceled":true,"compact_revision":"9"}}\n', Gone, "up to 9 are compacted"),
        (b'{"result":{"canceled":true,"cancel_reason":"permission denied"}}\n', Unavailable, "permission denied"),
        (b'{"error":{"code":14,"message":"server stopped"}}\n', Unavailable, "server stopped"),
        (b"{}\n", Unavailable, "neither result nor error"),
        (b"garbage\n", Unavailable, "a line of etcd's watch"),
        (b"", Unavailable, "ended the watch"),
    ],
)
def test_how_a_watch_ends(line: bytes, kind: type[KmError], words: str) -> None:
    (error,) = asyncio.run(first_news(line))
    assert isinstance(error, kind)
    assert words in str(error)


@pytest.mark.parametrize(("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff", b"\0"), (b"/k/", b"/k0")])
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end
