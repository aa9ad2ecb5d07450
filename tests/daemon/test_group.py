from __future__ import annotations

import asyncio

import pytest

from kmsched.core.leadership import Fact
from kmsched.daemon.group import FINGERPRINT, ROLLOUT
from kmsched.daemon.identity import TERM
from kmsched.errors import Conflict
from kmsched.wire.etcd import Delete, Put
from tests.daemon.groups import OURS, World, play

OTHERS = "b" * 64


def test_a_leader_that_was_killed_is_followed_within_a_quarter_of_a_second() -> None:
    async def story(world: World) -> None:
        first = world.leader
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(0.25)
        assert world.leader.group.deadman.revoked + sum(each.group.deadman.revoked for each in world.standbys()) >= 1

    play("abc", story)


def test_a_leader_that_leaves_says_goodbye_and_nobody_is_held_for_dead() -> None:
    async def story(world: World) -> None:
        first = world.leader
        await first.group.leave("SIGUSR1")
        await asyncio.sleep(0.1)
        world.processes.remove(first)
        assert world.leader is not first
        assert [each.group.deadman.revoked for each in world.processes] == [0, 0]
        await first.die()

    play("abc", story)


def test_what_successors_go_by_is_written_in_the_first_term() -> None:
    async def story(world: World) -> None:
        store = world.leader.group.store
        term, fingerprint = await store.get(TERM), await store.get(FINGERPRINT)
        assert term is not None
        assert term.value == str(world.leader.group.election.leadership.term)
        assert fingerprint is not None
        assert fingerprint.value == OURS

    play("ab", story)


def test_a_term_is_above_the_stored_one_though_etcd_was_restored_from_a_backup() -> None:
    async def story(world: World) -> None:
        record = await world.leader.group.store.get(TERM)
        await world.leader.group.store.put(TERM, "5000", record.revision if record else 0)
        first = world.leader
        await first.group.leave("asked to")
        await asyncio.sleep(1)
        world.processes.remove(first)
        await world.leader.group.led()
        assert world.leader.group.election.leadership.term == 5001
        await first.die()

    play("ab", story)


def test_another_fingerprint_stays_up_and_does_not_lead_until_it_is_allowed() -> None:
    async def story(world: World) -> None:
        other = world.add("b", OTHERS)
        await asyncio.sleep(2)
        (reason,) = other.group.reasons_of_fingerprint()
        assert reason.startswith(f"its fingerprint {OTHERS[:16]} is not that of the group, {OURS[:16]}: ")
        first = world.leader
        assert first.group.healthy_standbys() == []
        await first.group.leave("asked to")
        world.processes.remove(first)
        await asyncio.sleep(10)
        assert world.standbys() == [other]
        await other.group.store.put(ROLLOUT, f"{OTHERS}", 0)
        await asyncio.sleep(3)
        assert other.leads
        assert other.group.reasons_of_fingerprint() == []
        await first.die()

    play("a", story)


def test_the_sixth_scheduler_stays_up_and_leads_only_when_there_is_a_place() -> None:
    async def story(world: World) -> None:
        sixth = world.add("f")
        await asyncio.sleep(2)
        (reason,) = sixth.group.reasons_of_place()
        names = reason.removeprefix("5 schedulers share this framework, and no more may: ").partition(";")[0]
        assert sorted(names.split(", ")) == list("abcde")
        assert reason.endswith("; end this one, or one of them, whose place it takes then")
        assert [each.group.reasons_of_place() for each in world.processes[:5]] == 5 * [[]]
        first = world.leader
        assert "f" not in [each.instance for each in first.group.healthy_standbys()]
        assert len(first.group.healthy_standbys()) == 4
        # nobody else could lead; the member key of the one that led is there until its lease ends
        for each in world.processes[:5]:
            each.reasons.append("asked not to")
        await first.group.etcd.txn([], [Delete(first.group.keys.leader)])
        await asyncio.sleep(3)
        assert world.standbys() == world.processes
        assert sixth.group.reasons_of_place() == [reason]
        await asyncio.sleep(10)
        assert sixth.leads
        assert sixth.group.reasons_of_place() == []

    play("abcde", story)


def test_who_was_allowed_by_a_record_that_is_deleted_is_allowed_no_more() -> None:
    async def story(world: World) -> None:
        other = world.add("b", OTHERS)
        first = world.leader
        await first.group.store.put(ROLLOUT, OTHERS, 0)
        await asyncio.sleep(2)
        assert other.group.reasons_of_fingerprint() == []
        # as by etcdctl
        await first.group.etcd.txn([], [Delete(first.group.keys.prefix + ROLLOUT)])
        await asyncio.sleep(10)
        (reason,) = other.group.reasons_of_fingerprint()
        assert f"is not that of the group, {OURS[:16]}: " in reason
        assert first.group.reasons_of_fingerprint() == []

    play("a", story)


def test_who_may_act_again_after_a_suspension_is_told_to_reconcile() -> None:
    async def story(world: World) -> None:
        leader = world.leader
        for fact in (Fact.SUBSCRIBED, Fact.SETTLED):
            leader.group.lead.tell(fact)
        world.network.model.lose_quorum()
        await asyncio.sleep(4)
        assert (leader.group.lead.role, leader.resumed) == ("suspended", 0)
        world.network.model.regain_quorum()
        await asyncio.sleep(2)
        assert (leader.group.lead.role, leader.resumed) == ("reconciling", 1)

    play("a", story)


def test_a_record_of_who_may_lead_that_cannot_be_read_ends_nobody() -> None:
    async def story(world: World) -> None:
        first, (second,) = world.leader, world.standbys()
        for key in (ROLLOUT, FINGERPRINT):
            await first.group.etcd.txn([], [Put(first.group.keys.prefix + key, b"written by hand")])
            await asyncio.sleep(2)
        assert first.leads
        assert second.group.reasons_of_fingerprint() == [], "what was read before still holds"
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(10)
        assert second.leads
        late = world.add("c")
        await asyncio.sleep(2)
        (reason,) = late.group.reasons_of_fingerprint()
        assert "kmsched/Kubernetes/fingerprint in etcd cannot be read" in reason

    play("ab", story)


def test_who_could_lead_at_once_is_known() -> None:
    async def story(world: World) -> None:
        leader = world.leader
        assert sorted(each.instance for each in leader.group.healthy_standbys()) == sorted(
            each.name for each in world.standbys()
        )
        world.standbys()[0].group.election.describe(is_synced=False)
        await asyncio.sleep(2)
        assert len(leader.group.healthy_standbys()) == 1

    play("abc", story)


def test_a_store_whose_leader_has_changed_takes_nothing_from_the_old_one() -> None:
    async def story(world: World) -> None:
        first = world.leader
        world.processes.remove(first)
        await first.die()
        await asyncio.sleep(1)
        await world.leader.group.led()
        record = await world.leader.group.store.get(TERM)
        assert record is not None
        with pytest.raises(Conflict, match="does not lead any more"):
            await first.group.store.put(TERM, "1", record.revision)
        assert await world.leader.group.store.get(TERM) == record

    play("ab", story)
