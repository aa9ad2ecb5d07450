from __future__ import annotations

import asyncio
import json

import pytest

from kmsched.clients import mesos
from kmsched.clients.http import Request
from kmsched.errors import (
    Invalid,
    KmError,
    NotSubscribed,
    Unavailable,
)
from kmsched.wire.mesos import Subscribed
from kmsched.wire.mesos_calls import decline, kill, revive, suppress
from tests.clients.fakes import Reply, refused
from tests.clients.mesos_rig import (
    SUBSCRIBED,
    Rig,
    answering,
    during_subscription,
    kind_of,
    streaming,
)


def test_calls_go_one_after_the_other_in_their_order() -> None:
    rig = Rig(answering(lambda request: Reply(202)))

    async def scenario() -> None:
        await asyncio.gather(*(rig.client.call(kill(f"t{n}")) for n in range(20)))

    during_subscription(rig, scenario)
    _, *sent = rig.transport.requests
    killed = [json.loads(request.body or b"")["kill"]["task_id"]["value"] for request in sent]
    assert killed == [f"t{n}" for n in range(20)]
    assert rig.transport.most_calls_under_way == 1
    assert {request.headers.get("mesos-stream-id") for request in sent} == {"stream-1"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, (b"The stream ID 'x' included in this request didn't match",)), NotSubscribed),
        (Reply(400, (b"All non-subscribe calls should include the 'Mesos-Stream-Id' header",)), NotSubscribed),
        (Reply(400, (b"Framework cannot be found",)), NotSubscribed),
        (Reply(403, (b"Framework is not subscribed",)), NotSubscribed),
        (Reply(307, (), {"location": "//m2:5050"}), NotSubscribed),
        (Reply(400, (b"Failed to validate scheduler::Call",)), Invalid),
        (Reply(403, (b"forbidden",)), Invalid),
        (Reply(503, (b"recovering",)), Unavailable),
        (Reply(404), Unavailable),
        (Reply(401), Unavailable),
    ],
)
def test_a_call_that_is_not_taken_says_why(reply: Reply, kind: type[KmError]) -> None:
    rig = Rig(answering(lambda request: reply))

    async def scenario() -> None:
        with pytest.raises(kind, match=f"m1:5050 answered REVIVE with {reply.status}"):
            await rig.client.call(revive())

    during_subscription(rig, scenario)


def test_update_framework_is_answered_by_200() -> None:
    rig = Rig(answering(lambda request: Reply(200)))
    during_subscription(rig, lambda: rig.client.call(suppress()))
    assert kind_of(rig.transport.requests[-1]) == "SUPPRESS"


def test_without_a_subscription_no_call_is_sent() -> None:
    rig = Rig(streaming(SUBSCRIBED))
    with pytest.raises(NotSubscribed, match="DECLINE cannot be sent: no subscription"):
        asyncio.run(rig.client.call(decline(["o"])))
    assert rig.transport.requests == []


def test_a_call_whose_subscription_ends_while_it_waits_is_not_sent() -> None:
    rig = Rig(answering(lambda request: Reply(202)))

    async def scenario() -> None:
        events = rig.client.events()
        assert isinstance(await anext(events), Subscribed)
        rig.transport.may_answer.clear()
        sent = asyncio.create_task(rig.client.call(kill("t")))
        waiting = asyncio.create_task(rig.client.call(revive()))
        await asyncio.sleep(0)
        await events.aclose()
        rig.transport.may_answer.set()
        await sent
        with pytest.raises(NotSubscribed, match="REVIVE is not sent: its subscription ended before its turn"):
            await waiting

    asyncio.run(scenario())
    assert [kind_of(request) for request in rig.transport.requests] == ["SUBSCRIBE", "KILL"]


def test_too_many_waiting_calls_are_refused() -> None:
    rig = Rig(answering(lambda request: Reply(202)))

    async def scenario() -> None:
        rig.transport.may_answer.clear()
        waiting = [asyncio.create_task(rig.client.call(revive())) for _ in range(mesos.MAX_WAITING_CALLS)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="REVIVE is not sent: 1000 calls to Mesos wait already"):
            await rig.client.call(revive())
        rig.transport.may_answer.set()
        await asyncio.gather(*waiting)
        await rig.client.call(revive())

    during_subscription(rig, scenario)
    assert len(rig.transport.requests) == mesos.MAX_WAITING_CALLS + 2


def test_a_call_that_fails_leaves_the_way_free() -> None:
    def fail_kill(request: Request) -> Reply:
        if kind_of(request) == "KILL":
            raise refused(request)
        return Reply(202)

    rig = Rig(answering(fail_kill))

    async def scenario() -> None:
        with pytest.raises(Unavailable, match="Connection refused"):
            await rig.client.call(kill("t"))
        await rig.client.call(revive())

    during_subscription(rig, scenario)
