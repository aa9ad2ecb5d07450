"""What may come between a question to etcd and its answer; each of these once left nobody, or two, to lead."""

from __future__ import annotations

import asyncio
import base64

import pytest

from kmsched.core.leadership import Role
from kmsched.daemon.election import Timing
from kmsched.daemon.roster import Roster
from kmsched.wire.etcd import Change, Header, KeyValue, News, RangeAnswer
from tests.daemon.elections import KEYS, TIMING, Cluster, Process, play

LEADER = base64.b64encode(KEYS.leader.encode()).decode()
#: longer than a read, shorter than a request's deadline
LOOKS_S = 0.5


def others(cluster: Cluster, than: Process) -> list[Process]:
    return [each for each in cluster.processes if each is not than]


def test_a_standby_that_is_told_to_stop_while_it_campaigns_leaves_no_key_without_a_lease() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = others(cluster, first)
        second.looks_s = LOOKS_S
        await first.election.resign("all hosts are stopped")
        await asyncio.sleep(LOOKS_S / 2)
        await second.election.release()
        await asyncio.sleep(LOOKS_S)
        for each in (first, second):
            await each.crash()
        assert LEADER not in cluster.model.keys
        third = cluster.add("c")
        await asyncio.sleep(2 * TIMING.ttl_s)
        assert third.role is Role.ELECTED

    play("ab", story)


def test_a_lease_that_ends_while_it_campaigns_is_not_the_next_ones() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = others(cluster, first)
        second.looks_s = TIMING.renew_interval_s + 0.2  # a renewal lies between
        await first.election.resign("asked to")
        await asyncio.sleep(0.05)
        cluster.model.revoke(second.lease_id)
        await asyncio.sleep(4 * TIMING.ttl_s)
        assert cluster.model.keys[LEADER].lease == second.lease_id
        assert second.role is Role.ELECTED

    play("ab", story)


def test_a_campaign_that_was_won_with_a_lease_that_has_ended_is_not_won() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        second, third = others(cluster, first)
        third.reason_not_to = "waits"
        slow = True

        async def happened(path: str) -> None:
            nonlocal slow
            if slow and path == "/v3/kv/txn" and LEADER in cluster.model.keys:
                slow = False
                cluster.model.revoke(second.lease_id)
                third.reason_not_to = ""
                await asyncio.sleep(TIMING.request_deadline_s - 0.01)

        for way in second.ways.ways.values():
            way.happened = happened
        await first.election.resign("asked to")
        for _ in range(6000):
            await asyncio.sleep(0.001)
            assert sum(each.election.may_act() for each in cluster.processes) <= 1
        assert len(cluster.leaders()) == 1

    play("abc", story)


def test_a_silent_watch_is_made_up_for_however_often_a_standby_describes_itself() -> None:
    timing = Timing(ttl_s=10, renew_interval_s=2.0, request_deadline_s=3.2, renew_deadline_s=6.8)

    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = others(cluster, first)

        async def describe() -> None:
            for number in range(1000):
                second.election.describe(is_synced=bool(number % 2))
                await asyncio.sleep(1.0)

        describing = asyncio.create_task(describe())
        second.ways.ways["http://e1:2379"].is_frozen = True
        await asyncio.sleep(5)
        await first.election.resign("asked to")
        await asyncio.sleep(2 * timing.ttl_s)
        describing.cancel()
        assert cluster.leaders() == [second]

    play("ab", story, timing)


def test_a_leader_sees_which_standbys_are_gone_though_its_watch_is_silent() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = others(cluster, first)
        first.ways.ways["http://e1:2379"].is_frozen = True
        await asyncio.sleep(1)
        await second.crash()
        await asyncio.sleep(2 * TIMING.ttl_s)
        assert len(first.election.group.members) == 1

    play("ab", story)


def test_a_backup_of_etcd_that_was_restored_is_believed() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        cluster.model.revision += 300
        await asyncio.sleep(3)
        await first.crash()
        cluster.processes.remove(first)
        cluster.model.restore(revision=5)
        await asyncio.sleep(4 * TIMING.ttl_s)
        assert len(cluster.leaders()) == 1

    play("abc", story)


def test_slow_answers_keep_nobody_from_campaigning_who_renews_often() -> None:
    often = Timing(ttl_s=5, renew_interval_s=0.1, request_deadline_s=1.6, renew_deadline_s=3.4)

    async def story(cluster: Cluster) -> None:
        late = cluster.add("a")
        for way in late.ways.ways.values():
            way.delay_s = 0.25
        await asyncio.sleep(20)
        assert late.role is Role.ELECTED

    play("", story, often)


@pytest.mark.parametrize("stops", ["resigns", "releases"])
def test_who_has_stopped_takes_no_other_lease(stops: str) -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = others(cluster, first)
        if stops == "resigns":
            await second.election.resign("stops")
        else:
            await second.election.release()
        await asyncio.sleep(2)
        await first.election.resign("stops")
        await asyncio.sleep(2)
        assert cluster.leaders() == []
        assert not cluster.model.leases

    play("ab", story)


@pytest.mark.parametrize("path", ["/v3/lease/keepalive", "/v3/kv/range", "/v3/kv/txn"])
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}',
        b"<html>maintenance</html>",
    ],
)
def test_an_answer_that_is_none_neither_deposes_nor_ends_anybody(path: str, body: bytes) -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        for way in leader.ways.ways.values():
            way.spoiled[path] = body
        leader.election.describe(is_synced=False)
        await asyncio.sleep(2 * TIMING.ttl_s)
        assert leader.role is Role.ELECTED
        assert leader.task is not None and not leader.task.done()

    play("a", story)


def test_an_etcd_that_refuses_connections_is_not_asked_again_without_a_pause() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        await asyncio.sleep(TIMING.poll_s)
        leader.cut()
        leader.election.describe(is_synced=False)
        before = len(leader.ways.calls)
        await asyncio.sleep(10)
        assert len(leader.ways.calls) - before < 300, "a few each second"

    play("a", story)


def test_who_is_named_leads_next_and_the_others_only_if_it_does_not() -> None:
    async def story(cluster: Cluster) -> None:
        for named, does_it in (("c", True), ("b", True), ("a", False)):
            first = cluster.leader
            successor = next(each for each in cluster.processes if each.name == named)
            successor.reason_not_to = "" if does_it else "cannot"
            await first.election.amend(successor=named)
            await asyncio.sleep(0.5)
            await first.election.resign("asked to")
            await asyncio.sleep(0.2)
            assert [each.name for each in cluster.leaders()] == ([named] if does_it else [])
            await first.crash()
            cluster.processes.remove(first)
            cluster.add(first.name)
            await asyncio.sleep(TIMING.ttl_s)
            assert len(cluster.leaders()) == 1

    for _ in range(3):
        play("abc", story)


def kv(revision: int) -> KeyValue:
    return KeyValue(KEYS.leader.encode(), b"{}", revision, revision, 1)


def test_that_a_watch_was_made_hides_no_change_that_came_before() -> None:
    roster = Roster(KEYS)
    roster.listed(RangeAnswer(Header(5), [kv(5)]), 0)
    roster.told(News(Header(7), created=True))
    roster.told(News(Header(7), [Change(KeyValue(KEYS.leader.encode(), mod_revision=6), "DELETE")]))
    assert roster.leader_kv is None
    assert roster.revision == 7


def test_a_list_that_is_late_brings_nobody_back() -> None:
    roster = Roster(KEYS)
    roster.listed(RangeAnswer(Header(5), [kv(5)]), 0)
    roster.told(News(Header(6), [Change(KeyValue(KEYS.leader.encode(), mod_revision=6), "DELETE")]))
    roster.listed(RangeAnswer(Header(5), [kv(5)]), 5)
    assert roster.leader_kv is None
