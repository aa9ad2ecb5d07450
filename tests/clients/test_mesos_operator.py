"""Asking masters as an operator: who leads is found, refusals keep their kind, and nothing is ever changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from kmsched.clients.http import Request
from kmsched.clients.mesos import Credentials
from kmsched.clients.mesos_operator import MesosOperator
from kmsched.errors import Forbidden, Invalid, KmError, ProtocolError, Unavailable
from kmsched.wire import mesos_operator as wire
from tests.clients.fakes import HandlerTransport, Reply, refused

FLAGS = Reply(200, [b'{"type":"GET_FLAGS","get_flags":{"flags":[{"name":"roles","value":"a"},{"name":"zk"}]}}'])


def operator(
    handler: Callable[[Request], Reply], *masters: str, credentials: Credentials | None = None
) -> tuple[MesosOperator, HandlerTransport]:
    transport = HandlerTransport(handler)
    return MesosOperator(masters or ("http://m1:5050",), transport=transport, credentials=credentials), transport


def test_a_redirect_to_the_leader_is_followed() -> None:
    def handler(request: Request) -> Reply:
        if "m1" in request.url:
            return Reply(307, headers={"location": "//m2:5050/api/v1"})
        return FLAGS

    made, transport = operator(handler, credentials=Credentials("km", "s"))
    answer = asyncio.run(made.ask(wire.GetFlags))
    assert (answer.value("roles"), answer.value("zk"), answer.value("acls")) == ("a", None, None)
    assert [(each.method, each.url) for each in transport.requests] == [
        ("POST", "http://m1:5050/api/v1"),
        ("POST", "http://m2:5050/api/v1"),
    ]
    assert json.loads(transport.requests[1].body or b"") == {"type": "GET_FLAGS"}
    assert transport.requests[1].headers["authorization"].startswith("Basic ")


def test_the_leading_master_is_reached_when_it_looks_at_the_question() -> None:
    def handler(request: Request) -> Reply:
        if "m1" in request.url:
            raise refused(request)
        if "m2" in request.url:
            return Reply(307, headers={"location": "//m3:5050/api/v1/scheduler"})
        return Reply(405, [b"Expecting one of { 'POST' }, but received 'GET'"])

    made, transport = operator(handler, "http://m1:5050", "http://m2:5050", credentials=Credentials("km", "s"))
    asyncio.run(made.reach_leader())
    assert [(each.method, each.host, each.body) for each in transport.requests] == [
        ("GET", "m1:5050", None),
        ("GET", "m2:5050", None),
        ("GET", "m3:5050", None),
    ]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(503, [b"No leading master elected"]), Unavailable),
        (Reply(401), Forbidden),
        (Reply(200), Unavailable),
        (Reply(307, headers={"location": "//m1:5050/api/v1/scheduler"}), Unavailable),
    ],
)
def test_without_a_leading_master_that_lets_us_in_none_is_reached(reply: Reply, kind: type[KmError]) -> None:
    made, _ = operator(lambda _: reply)
    with pytest.raises(kind):
        asyncio.run(made.reach_leader())


@pytest.mark.parametrize("location", ["http://evil:1/api/v1", "//[::1/api/v1"])
def test_the_secret_does_not_follow_a_redirect_out_of_tls(location: str) -> None:
    made, transport = operator(
        lambda _: Reply(307, headers={"location": location}), "https://m1:5050", credentials=Credentials("km", "s")
    )
    with pytest.raises(Unavailable, match="https://m1:5050/api/v1 redirects to"):
        asyncio.run(made.ask(wire.GetFlags))
    assert [each.host for each in transport.requests] == ["m1:5050"]


def test_the_secret_is_not_for_agents() -> None:
    made, transport = operator(lambda _: Reply(200, [b'{"version":"1.11.0"}']), credentials=Credentials("km", "s"))
    assert asyncio.run(made.version("http://agent:5051")) == "1.11.0"
    assert "authorization" not in transport.requests[0].headers


def test_a_master_that_is_away_is_passed_over() -> None:
    def handler(request: Request) -> Reply:
        if "m1" in request.url:
            raise refused(request)
        return FLAGS

    made, _ = operator(handler, "http://m1:5050", "http://m2:5050")
    assert len(asyncio.run(made.ask(wire.GetFlags)).flags) == 2


def test_when_nobody_answers_every_reason_is_told() -> None:
    made, _ = operator(lambda _: Reply(503, [b"no leader"]), "http://m1:5050", "http://m2:5050")
    with pytest.raises(Unavailable, match=r"m1:5050 answered 503: no leader; m2:5050 answered 503"):
        asyncio.run(made.ask(wire.GetFlags))


def test_redirects_without_end_are_given_up() -> None:
    made, transport = operator(lambda _: Reply(307, headers={"location": "//m1:5050/api/v1"}))
    with pytest.raises(Unavailable, match="more than 3 redirects"):
        asyncio.run(made.ask(wire.GetFlags))
    assert len(transport.requests) == 4


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Forbidden), (403, Forbidden), (400, Invalid), (404, Unavailable), (500, Unavailable)]
)
def test_refusals_keep_their_kind(status: int, kind: type[KmError]) -> None:
    made, _ = operator(lambda _: Reply(status, [b"no"]))
    with pytest.raises(kind, match=f"m1:5050 answered {status}: no"):
        asyncio.run(made.ask(wire.GetFlags))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"get_flags":{"flags":3}}'])
def test_answers_that_are_none(body: bytes) -> None:
    made, _ = operator(lambda _: Reply(200, [body]))
    with pytest.raises(ProtocolError, match="GET_FLAGS"):
        asyncio.run(made.ask(wire.GetFlags))


@pytest.mark.parametrize(("status", "taken"), [(405, True), (307, True), (401, False), (403, False)])
def test_the_door_of_schedulers_is_knocked_at_and_not_opened(status: int, taken: bool) -> None:
    made, transport = operator(lambda _: Reply(status, [b"words"]))
    refusal = asyncio.run(made.refusal_of_credentials())
    assert refusal is None if taken else refusal == f"the Mesos master m1:5050 answered {status}: words"
    assert [(each.method, each.url) for each in transport.requests] == [("GET", "http://m1:5050/api/v1/scheduler")]


def test_a_master_that_is_just_starting_says_nothing_of_credentials() -> None:
    made, _ = operator(lambda _: Reply(404, [b"not yet"]))
    with pytest.raises(Unavailable, match="404: not yet"):
        asyncio.run(made.refusal_of_credentials())


def test_an_agent_is_asked_where_it_listens() -> None:
    made, transport = operator(lambda _: Reply(200, [b'{"flags":{"isolation":"posix/cpu"}}']))
    agent = wire.Agent(wire.AgentInfo("h1"), pid="slave(1)@10.0.0.1:5051")
    assert asyncio.run(made.agent_flags(agent)) == {"isolation": "posix/cpu"}
    assert transport.requests[0].url == "http://10.0.0.1:5051/slave(1)/flags"
