from __future__ import annotations

import asyncio
import base64
import json
from random import Random

import pytest

from kmsched.core.leadership import Fact, Role
from kmsched.wire.members import Leader, encode
from tests.clients.etcd_model import Key
from tests.daemon.elections import ENDPOINTS, KEYS, TIMING, Cluster, member, play, until
from tests.virtual_time import VirtualClock


def test_one_of_three_leads_and_all_know_who() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        assert leader.role is Role.ELECTED
        for each in cluster.processes:
            assert each.election.group.leader is not None
            assert each.election.group.leader.instance == leader.name
            assert len(each.election.group.members) == 3
        assert leader.election.leadership.term == leader.election.create_revision > 0

    play("abc", story)


def test_a_leader_that_resigns_is_followed_at_once() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        started = VirtualClock().monotonic()
        await first.election.resign("asked to")
        assert first.role is Role.DEPOSED
        await asyncio.sleep(0.1)
        second = cluster.leader
        assert second is not first
        assert second.log[-1][0] - started < 0.05
        assert second.election.leadership.term > first.election.leadership.term

    play("ab", story)


def test_how_often_the_lead_was_passed_on_is_handed_on_with_it() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        await first.election.amend(passed_on=3)
        await first.election.resign("cannot serve")
        await asyncio.sleep(1)
        second = cluster.leader
        assert second is not first
        assert [each.election.group.passed_on for each in cluster.processes] == [3, 3]
        assert second.election.group.leader is not None
        assert second.election.group.leader.passed_on == 3
        await second.election.amend(passed_on=0)
        await asyncio.sleep(1)
        assert [each.election.group.passed_on for each in cluster.processes if each is second] == [0]

    play("ab", story)


def test_a_leader_that_died_is_followed_when_its_lease_has_run_out() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        cluster.processes.remove(first)
        await first.crash()
        died = VirtualClock().monotonic()
        await asyncio.sleep(2)
        assert cluster.leaders() == []
        await asyncio.sleep(4)
        assert cluster.leader.log[-1][0] - died <= TIMING.ttl_s + 0.2

    play("abc", story)


def test_a_leader_that_is_cut_off_stops_before_its_lease_ends_and_never_comes_back() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        first.cut()
        cut_at = VirtualClock().monotonic()
        await until(lambda: cluster.leaders() == [])
        assert first.log[-1][1] is Role.SUSPENDED
        assert not first.election.may_act()
        assert VirtualClock().monotonic() - cut_at <= TIMING.renew_deadline_s + 0.1
        assert cluster.leaders() == []
        await asyncio.sleep(4)
        second = cluster.leader
        assert second is not first
        first.cut(False)
        await asyncio.sleep(2)
        assert first.role is Role.DEPOSED
        assert cluster.leader is second

    play("ab", story)


def test_a_short_cut_suspends_and_the_same_term_goes_on() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        leader.election.tell(Fact.SUBSCRIBED)
        leader.election.tell(Fact.SETTLED)
        term = leader.election.leadership.term
        # a quorum that is away ends no lease
        cluster.model.lose_quorum()
        await asyncio.sleep(30)
        assert [role for _, role, _ in leader.log] == [Role.ELECTED, Role.RECONCILING, Role.ACTIVE, Role.SUSPENDED]
        cluster.model.regain_quorum()
        await asyncio.sleep(3)
        assert leader.log[-1][1] is Role.RECONCILING
        assert leader.election.leadership.term == term
        leader.election.tell(Fact.SETTLED)
        assert leader.role is Role.ACTIVE
        assert leader.election.may_act()

    play("abc", story)


def test_a_frozen_member_of_etcd_costs_nobody_the_lead() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        for endpoint in ENDPOINTS:
            for each in cluster.processes:
                each.ways.ways[endpoint].is_frozen = True
            await asyncio.sleep(12)
            assert cluster.leader is leader
            assert len(leader.log) == 1, "never suspended"
            for each in cluster.processes:
                each.ways.ways[endpoint].is_frozen = False
            await asyncio.sleep(3)

    play("ab", story)


def test_a_watch_that_is_silent_is_made_up_for_by_looking() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = (each for each in cluster.processes if each is not first)
        watching = second.election._etcd.endpoint
        second.ways.ways[watching].is_frozen = True
        await first.election.resign("asked to")
        resigned = VirtualClock().monotonic()
        await asyncio.sleep(10)
        assert cluster.leader is second
        assert second.log[-1][0] - resigned < TIMING.ttl_s

    play("ab", story)


def test_a_campaign_whose_answer_was_lost_is_known_for_won() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = (each for each in cluster.processes if each is not first)
        lost = second.ways.ways

        async def lose_the_answer_of_its_campaign() -> None:
            await until(lambda: second.ways.calls[-1][1] == "/v3/kv/txn")
            for way in lost.values():
                way.lost_answers = 1

        await first.election.resign("asked to")
        await lose_the_answer_of_its_campaign()
        await asyncio.sleep(6)
        assert cluster.leader is second
        assert second.election.create_revision == cluster.model.keys[_leader_key(cluster)].create_revision
        assert second.election.may_act()

    play("ab", story)


def test_who_may_not_lead_does_not_and_the_next_does() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        second, third = (each for each in cluster.processes if each is not first)
        second.reason_not_to = "not synced"
        await first.election.resign("asked to")
        await asyncio.sleep(1)
        assert cluster.leader is third
        await third.election.resign("asked to")
        await asyncio.sleep(10)
        assert cluster.leaders() == []
        second.reason_not_to = ""
        await asyncio.sleep(2)
        assert cluster.leader is second

    play("abc", story)


def test_a_term_is_above_all_that_were_seen_though_etcd_counts_from_less(caplog: pytest.LogCaptureFixture) -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        (second,) = (each for each in cluster.processes if each is not first)
        second.highest_term = 1_000_000
        await first.election.resign("asked to")
        await asyncio.sleep(1)
        assert second.election.leadership.term == 1_000_001
        assert second.election.group.term == 1_000_001
        assert "and terms up to 1000000 are known: it was restored from a backup" in caplog.text

    play("ab", story)


def test_a_leader_key_taken_by_another_deposes() -> None:
    async def story(cluster: Cluster) -> None:
        leader = cluster.leader
        model = cluster.model
        model.revision += 1
        key = _leader_key(cluster)
        model.keys[key] = Key(model.keys[key].value, model.revision, model.revision, 77)
        await asyncio.sleep(2)
        assert leader.role is Role.DEPOSED
        assert leader.election.leadership.reason == "another scheduler has the leader key"

    play("a", story)


def test_a_leader_record_that_cannot_be_read_is_still_a_leader() -> None:
    async def story(cluster: Cluster) -> None:
        model = cluster.model
        first = cluster.leader
        first.reason_not_to = "not this one"
        model.keys[_leader_key(cluster)].value = "e30="  # {}
        other = cluster.add("b")
        await asyncio.sleep(3)
        assert other.role is Role.STANDBY
        assert cluster.leader is first

    play("a", story)


def test_an_etcd_that_was_never_there_is_waited_for() -> None:
    async def story(cluster: Cluster) -> None:
        late = cluster.add("b")
        late.cut()
        await asyncio.sleep(60)
        assert late.role is Role.STANDBY
        assert "Connection refused" in late.election.trouble
        late.cut(False)
        await asyncio.sleep(3)
        assert late.election.trouble == ""
        assert len(late.election.group.members) == 2

    play("a", story)


@pytest.mark.parametrize("seed", range(4))
def test_there_are_never_two_who_may_act(seed: int) -> None:
    """Cuts, freezes, lost answers, crashes and quorum losses, drawn by a seed; looked at every 20 ms."""

    async def story(cluster: Cluster) -> None:
        rng = Random(seed)
        highest = 0
        for _ in range(30):
            _disturb(cluster, rng)
            for _ in range(rng.randrange(1, 150)):
                await asyncio.sleep(0.02)
                acting = [each for each in cluster.processes if each.election.may_act()]
                assert len(acting) <= 1
                if acting:
                    term = acting[0].election.leadership.term
                    assert term >= highest
                    highest = term
            for each in [each for each in cluster.processes if each.role is Role.DEPOSED]:
                cluster.processes.remove(each)
                await each.crash()
                cluster.add(each.name, known=member(each.name, boot_id=f"boot {rng.random()}"))
        cluster.model.regain_quorum()
        for each in cluster.processes:
            each.cut(False)
            for way in each.ways.ways.values():
                way.is_frozen, way.lost_answers = False, 0
        await asyncio.sleep(20)
        assert len(cluster.leaders()) == 1

    play("abc", story)


def _disturb(cluster: Cluster, rng: Random) -> None:
    process = rng.choice(cluster.processes)
    way = rng.choice(list(process.ways.ways.values()))
    match rng.randrange(7):
        case 0:
            process.cut(rng.random() < 0.5)
        case 1:
            way.is_frozen = not way.is_frozen
        case 2:
            way.lost_answers = rng.randrange(3)
        case 3:
            cluster.model.lose_quorum()
        case 4 | 5:
            cluster.model.regain_quorum()
        case 6:
            way.delay_s = rng.choice((0.001, 0.3, 1.0))


def _leader_key(cluster: Cluster) -> str:
    (key,) = (
        key for key, stored in cluster.model.keys.items() if json.loads(_text(stored.value)).get("since_s") is not None
    )
    return key


def _text(value: str) -> str:
    return base64.b64decode(value).decode()


def test_the_leader_record_tells_peers_what_they_need() -> None:
    record = Leader(
        instance="a",
        boot_id="b",
        url="http://a:1",
        since_s=1.0,
        term_at_least=2,
        lease_id="3",
        fingerprint="f",
        version="1",
    )
    assert json.loads(encode(record)) == {
        "schema": 1,
        "instance": "a",
        "boot_id": "b",
        "url": "http://a:1",
        "since_s": 1.0,
        "term_at_least": 2,
        "lease_id": "3",
        "fingerprint": "f",
        "version": "1",
        "successor": "",
        "passed_on": 0,
    }
    assert KEYS.leader == "/kmsched/Kubernetes/leader"
