"""Who may have a name in a group: one process, the one whose lease lives."""

from __future__ import annotations

import asyncio
import base64

import pytest

from kmsched.core.leadership import Role
from kmsched.errors import ConfigRefused
from kmsched.wire.members import Member
from tests.clients.etcd_model import Key
from tests.daemon.elections import KEYS, TIMING, Cluster, Process, member, play
from tests.virtual_time import VirtualClock

#: as the start of a host that was copied, disk and all, from the one of "a"
COPY = member("a", boot_id="boot of the copy", lock_id="same disk, other host")


def refusal(process: Process) -> str:
    assert process.task is not None
    assert process.task.done()
    with pytest.RaisesGroup(ConfigRefused) as refused:
        process.task.result()
    return str(refused.value.exceptions[0])


def test_a_restarted_instance_ends_the_lease_of_its_dead_predecessor() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        cluster.processes.remove(first)
        await first.crash()
        again = cluster.add("a", known=member("a", boot_id="second boot"))
        await asyncio.sleep(0.5)
        assert cluster.leader is again

    play("a", story)


def test_a_record_of_itself_that_cannot_be_read_keeps_nobody_from_starting() -> None:
    async def story(cluster: Cluster) -> None:
        key = base64.b64encode(KEYS.member("b").encode()).decode()
        for garbage in (b"\xff", b"{}", b'{"schema":1}'):
            cluster.model.keys[key] = Key(base64.b64encode(garbage).decode(), 1, 1, 0)
            late = cluster.add("b")
            await asyncio.sleep(3)
            assert late.task is not None
            assert not late.task.done()
            assert len(late.election.group.members) == 2
            await late.crash()
            cluster.processes.remove(late)

    play("a", story)


@pytest.mark.parametrize("other", [COPY, member("a", boot_id="boot-b", home="b:/state", lock_id="another")])
def test_a_second_scheduler_of_one_name_ends_itself_and_nothing_of_the_first(other: Member) -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        lease_id, term = first.lease_id, first.election.leadership.term
        second = cluster.add("a", known=other)
        await asyncio.sleep(2 * TIMING.ttl_s + 1)
        words = refusal(second)
        assert "another scheduler is called 'a', too, and lives: it is at http://a:10251" in words
        assert "give each its own --ha-instance" in words.lower()
        assert (first.lease_id, first.election.leadership.term, first.role) == (lease_id, term, Role.ELECTED)
        assert len(first.log) == 1
        assert first.election.group.members[KEYS.member("a")].boot_id == "boot-a"

    play("a", story)


def test_a_standby_keeps_its_name_from_a_copy_of_its_host() -> None:
    async def story(cluster: Cluster) -> None:
        (standby,) = (each for each in cluster.processes if each.role is Role.STANDBY)
        lease_id = standby.lease_id
        known = member(standby.name, boot_id="boot of the copy", lock_id="same disk, other host")
        copy = cluster.add(standby.name, known=known)
        await asyncio.sleep(3 * TIMING.ttl_s)
        assert f"is called {standby.name!r}" in refusal(copy)
        assert standby.lease_id == lease_id
        assert lease_id in cluster.model.leases

    play("ab", story)


def test_after_its_host_has_started_anew_it_waits_for_the_old_lease_and_no_longer() -> None:
    async def story(cluster: Cluster) -> None:
        first = cluster.leader
        cluster.processes.remove(first)
        await first.crash()
        crashed = VirtualClock().monotonic()
        again = cluster.add("a", known=COPY)
        await asyncio.sleep(1)
        assert again.role is Role.STANDBY
        await asyncio.sleep(TIMING.ttl_s)
        assert cluster.leader is again
        assert again.log[0][0] - crashed <= TIMING.ttl_s + 0.6

    play("a", story)


def test_of_two_that_start_at_once_one_stays() -> None:
    async def story(cluster: Cluster) -> None:
        both = [cluster.add("b", known=member("b", boot_id=f"boot-{n}", lock_id=f"lock-{n}")) for n in range(2)]
        await asyncio.sleep(3 * TIMING.ttl_s)
        (ended,) = (each for each in both if each.task is not None and each.task.done())
        assert "is called 'b', too" in refusal(ended)
        (stays,) = (each for each in both if each is not ended)
        assert cluster.leader.election.group.members[KEYS.member("b")].boot_id == stays.election.member.boot_id

    play("a", story)


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_member_key_whose_writing_was_not_answered_or_that_was_deleted_is_there_again(is_lost: bool) -> None:
    async def story(cluster: Cluster) -> None:
        late = cluster.add("b")
        if is_lost:
            while late.ways.calls[-1:] != [("e1:2379", "/v3/kv/txn")]:  # noqa: ASYNC110  as often as time allows
                await asyncio.sleep(0.0001)
            for way in late.ways.ways.values():
                way.lost_answers = 1
            await asyncio.sleep(2 * TIMING.ttl_s)
        else:
            await asyncio.sleep(3)
            del cluster.model.keys[base64.b64encode(KEYS.member("b").encode()).decode()]
        late.election.describe(is_synced=False)
        await asyncio.sleep(2 * TIMING.ttl_s)
        assert late.task is not None
        assert not late.task.done()
        assert not cluster.leader.election.group.members[KEYS.member("b")].is_synced

    play("a", story)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_standby_misses_its_deleted_member_key_and_writes_it_again(is_told: bool) -> None:
    """`is_told`: by the watch; else looking finds it."""

    async def story(cluster: Cluster) -> None:
        standby, key = cluster.add("b"), base64.b64encode(KEYS.member("b").encode()).decode()
        await asyncio.sleep(3)
        assert standby.election.is_known_as_synced
        if is_told:
            cluster.model.delete(key)
        else:
            del cluster.model.keys[key]
        was_known = []
        for _ in range(60):
            await asyncio.sleep(0.1)
            was_known.append(standby.election.is_known_as_synced)
        assert False in was_known
        assert all(was_known[-20:])
        assert cluster.leader.election.group.members[KEYS.member("b")].is_synced

    play("a", story)
