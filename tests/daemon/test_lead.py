from __future__ import annotations

import asyncio
import math

import pytest

from kmsched.clients.http import Request, Response
from kmsched.core.leadership import Fact, Role
from kmsched.daemon.fencing import FencedTransport, has_effect
from kmsched.daemon.lead import MAX_RETAKEN, GroupLead, SoleLead
from kmsched.errors import Deposed
from tests.clients.fakes import HandlerTransport, Reply
from tests.daemon.elections import KEYS, Cluster, Process, play, until
from tests.virtual_time import VirtualClock


def lead_of(process: Process) -> GroupLead:
    lead = GroupLead(KEYS, call_s=1.0, clock=VirtualClock())
    lead.attach(process.election)
    process.on_change = lead.changed
    return lead


def test_calls_wait_while_the_leader_is_suspended_and_then_go_out() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        transport = HandlerTransport(lambda _: Reply(200))
        fenced = FencedTransport(transport, lead_of(leader))
        await fenced.call(Request("POST", "http://k/1"), deadline_s=9.0)
        cluster.model.lose_quorum()
        await until(lambda: leader.role is Role.SUSPENDED)
        waiting = asyncio.create_task(fenced.call(Request("POST", "http://k/2"), deadline_s=9.0))
        await asyncio.sleep(20)
        await fenced.call(Request("GET", "http://k/3"), deadline_s=9.0)
        assert [request.url[-1] for request in transport.requests] == ["1", "3"]
        cluster.model.regain_quorum()
        await waiting
        assert [request.url[-1] for request in transport.requests] == ["1", "3", "2"]

    play("a", story)


def test_a_subscribe_that_is_sent_on_waits_while_the_leader_is_suspended() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        transport = HandlerTransport(lambda _: Reply(200))
        fenced = FencedTransport(transport, lead_of(leader))

        async def send(method: str) -> None:
            async with fenced.stream(Request(method, "http://m/api"), connect_s=1.0, idle_s=1.0) as stream:
                assert stream.status == 200

        cluster.model.lose_quorum()
        await until(lambda: leader.role is Role.SUSPENDED)
        await send("GET")
        sent = asyncio.create_task(send("POST"))
        await asyncio.sleep(0.2)
        assert [each.method for each in transport.requests] == ["GET"]
        cluster.model.regain_quorum()
        await sent

    play("a", story)


def test_calls_of_the_deposed_never_go_out() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        transport = HandlerTransport(lambda _: Reply(200))
        fenced = FencedTransport(transport, lead_of(leader))
        leader.cut()
        await until(lambda: leader.role is Role.SUSPENDED)
        waiting = asyncio.create_task(fenced.call(Request("DELETE", "http://k/1"), deadline_s=9.0))
        await asyncio.sleep(10)
        leader.cut(False)
        with pytest.raises(Deposed, match="does not lead any more"):
            await waiting
        assert transport.requests == []

    play("ab", story)


def test_a_standby_waits_for_its_term() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = (each for each in cluster.processes if each is not first)
        lead = lead_of(second)
        waiting = asyncio.create_task(lead.term())
        await asyncio.sleep(10)
        assert not waiting.done()
        assert lead.guard() is None
        await first.election.resign("asked to")
        assert await waiting == second.election.leadership.term
        guard = lead.guard()
        assert guard is not None
        assert guard.revision == second.election.create_revision

    play("ab", story)


def test_a_call_may_take_no_longer_than_the_lease_outlives_the_deadline() -> None:
    deadlines: list[float] = []

    class Transport(HandlerTransport):
        async def call(self, request: Request, *, deadline_s: float) -> Response:
            deadlines.append(deadline_s)
            return await super().call(request, deadline_s=deadline_s)

    async def story(cluster: Cluster) -> None:
        fenced = FencedTransport(Transport(lambda _: Reply(200)), lead_of(cluster.leader))
        for method in ("POST", "PATCH", "GET"):
            await fenced.call(Request(method, "http://k/"), deadline_s=9.0)
        assert deadlines == [1.0, 1.0, 9.0]

    play("a", story)


def test_a_confirmation_asks_etcd_now() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        lead = lead_of(leader)
        await lead.confirm()
        # a lease that was revoked behind our back is noticed before a SUBSCRIBE, not with the next renewal
        (lease_id,) = cluster.model.leases
        cluster.model.answer("/v3/lease/revoke", {"ID": str(lease_id)})
        with pytest.raises(Deposed):
            await lead.confirm()

    play("a", story)


def test_a_confirmation_is_asked_for_again_whatever_etcd_answers() -> None:
    async def story(cluster: Cluster) -> None:
        for way in cluster.leader.ways.ways.values():
            way.spoiled["/v3/kv/range"] = b"<html>maintenance</html>"
        await lead_of(cluster.leader).confirm()
        assert cluster.leader.election.may_act()

    play("a", story)


def test_a_framework_that_was_taken_is_taken_back_while_the_lease_is_ours_but_not_for_ever() -> None:
    async def story(cluster: Cluster) -> None:
        lead = lead_of(cluster.leader)
        for _ in range(MAX_RETAKEN):
            await lead.was_overtaken("failed over")
        with pytest.raises(Deposed, match="6th time within a minute"):
            await lead.was_overtaken("failed over")
        await asyncio.sleep(61)
        await lead.was_overtaken("failed over")

    play("a", story)


def test_alone_it_leads_from_the_first_moment() -> None:
    made: list[int] = []

    async def make() -> int:
        made.append(1)
        return 7

    async def main() -> None:
        lead = SoleLead(make)
        assert await lead.term() == await lead.term() == 7
        assert made == [1]
        assert await lead.admit() == math.inf
        roles = [lead.role]
        for fact in (Fact.SUBSCRIBED, Fact.SETTLED, Fact.UNSUBSCRIBED):
            lead.tell(fact)
            roles.append(lead.role)
        assert roles == ["elected", "reconciling", "active", "elected"]
        with pytest.raises(Deposed, match="failed over"):
            await lead.was_overtaken("failed over")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "effect"),
    [
        ("GET", "/api/v1/pods", False),
        ("POST", "/api/v1/namespaces/d/pods/p/binding", True),
        ("PATCH", "/api/v1/namespaces/d/pods/p", True),
        ("DELETE", "/api/v1/namespaces/d/pods/p", True),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", False),
        ("POST", "/api/v1/scheduler", True),
    ],
)
def test_which_requests_have_an_effect(method: str, path: str, effect: bool) -> None:
    assert has_effect(Request(method, f"https://api:6443{path}")) is effect
