"""Whole processes that share a framework, against fake upstreams and a modelled etcd, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kmsched.cli.rollout import allow, clear
from kmsched.cli.store_command import Place
from kmsched.daemon.deadman import ALARM, MAX_TAKEOVERS, TAKEOVERS_S
from kmsched.daemon.main import until_signalled
from kmsched.daemon.reach import PATIENCE_S, PROBE_S
from kmsched.errors import Deposed, NotHandedOver
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.daemon.peers import ETCD, Both, Peer, play
from tests.daemon.processes import settings
from tests.virtual_time import VirtualClock


def test_a_standby_asks_nothing_of_mesos_and_follows_with_the_same_framework(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        second = add("b")
        await asyncio.sleep(20)
        assert len(first.subscribed) == 1
        assert second.world.calls == []
        assert [status for status, _ in (await second.page("/readyz"), await second.page("/leader"))] == [200, 503]
        assert (await second.page("/readyz"))[1]["role"] == "standby"
        _, told = await second.page("/leader")
        assert told["leader"]["instance"] == "a"
        await first.daemon.end("asked to")
        await asyncio.sleep(1)
        assert len(second.subscribed) == 1
        assert second.subscribed[0]["framework_id"] == {"value": "f-1"}
        assert second.term > first.term

    play(tmp_path, story)


def test_what_is_done_with_signals_is_told_before_there_is_anything_to_hand_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        model = EtcdModel(VirtualClock())
        model.lose_quorum()
        running = asyncio.create_task(until_signalled(Peer("a", tmp_path, model).daemon))
        await asyncio.sleep(10)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(10)
        assert not running.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    virtual_time.run(story())
    begun = "this process has only begun to start and leads nothing yet; it goes on starting"
    assert f"SIGUSR1: nothing is done: {begun}" in caplog.messages
    assert caplog.messages[-2:] == [
        "ended by SIGTERM: this process had only begun to start and led nothing",
        "ended by SIGTERM; tasks and pods run on",
    ]


def test_a_leader_hands_over_when_asked_and_ends_deposed(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        with pytest.raises(NotHandedOver, match="no such file; this process leads on"):
            await first.daemon.hand_over("SIGUSR1")
        second = add("b")
        await asyncio.sleep(5)
        assert first.task is not None
        assert not first.task.done()
        assert await first.daemon.hand_over("SIGUSR1") == "b"
        await asyncio.sleep(1)
        assert isinstance(first.task.exception(), Deposed)
        assert len(second.subscribed) == 1

    play(tmp_path, story)


def test_as_soon_as_a_standby_says_that_it_is_ready_the_lead_can_be_given_to_it(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        second = add("b")
        for _ in range(5000):
            await asyncio.sleep(0.001)
            if second.daemon.scheduler is not None and not second.daemon.scheduler.told.reasons():
                break
        assert await first.daemon.hand_over("SIGUSR1") == "b"
        await asyncio.sleep(1)
        assert len(second.subscribed) == 1

    play(tmp_path, story)


def test_a_standby_of_another_fingerprint_is_up_and_says_why_it_is_not_ready(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        other = add("b", "--executor-mem=512")
        await asyncio.sleep(5)
        status, ready = await other.page("/readyz")
        assert status == 503
        assert "is not that of the group" in ready["reasons"][0]
        assert "--executor-mem: 512 here, 256 there; make them equal" in ready["reasons"][0]
        await first.kill()
        await asyncio.sleep(20)
        assert other.subscribed == []

    play(tmp_path, story)


def test_an_etcd_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        peer = add("a")
        peer.model.lose_quorum()
        await asyncio.sleep(60)
        assert peer.task is not None
        assert not peer.task.done()
        peer.model.regain_quorum()
        await asyncio.sleep(10)
        assert len(peer.subscribed) == 1

    play(tmp_path, story)


def test_a_leader_hands_over_by_http_and_a_standby_names_it(tmp_path: Path) -> None:
    (tmp_path / "act").write_text("secret")
    flag = f"--http-act-token-file={tmp_path}/act"

    async def story(add: Callable[..., Peer]) -> None:
        first = add("a", flag)
        await asyncio.sleep(3)
        assert await first.resign() == (409, {"error": "km: no such file; this process leads on"})
        second = add("b", flag)
        await asyncio.sleep(5)
        status, told = await second.resign()
        assert (status, told["leader"]) == (409, {"instance": "a", "url": "http://10.0.0.97:10251"})
        assert await first.resign(to="b") == (200, {"leads_next": "b"})
        await asyncio.sleep(1)
        assert first.task is not None
        assert isinstance(first.task.exception(), Deposed)
        assert len(second.subscribed) == 1

    play(tmp_path, story)


def test_a_rollout_lets_another_fingerprint_follow_and_then_the_old_one_again(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        other = add("b", "--executor-mem=512")
        await asyncio.sleep(5)
        _, ready = await other.page("/readyz")
        named = ready["reasons"][0].partition("km rollout allow ")[2].split()
        etcd = EtcdWays(first.model, {ETCD: Way()})
        config = settings(tmp_path, "--ha", f"--etcd-servers={ETCD}", "--ha-url=http://10.0.0.9:1")
        place = Place(tmp_path, config.framework_name, config.ha)
        transport: Any = Both(first.world, etcd)
        await allow(place, named[0], named[1], lambda _: transport, VirtualClock())
        await asyncio.sleep(2)
        assert (await other.page("/readyz"))[0] == 200
        assert await first.daemon.hand_over("asked to") == "b"
        await asyncio.sleep(5)
        assert len(other.subscribed) == 1
        again = add("c")
        await asyncio.sleep(5)
        assert (await again.page("/readyz"))[0] == 200
        await clear(place, lambda _: transport, VirtualClock())
        await asyncio.sleep(5)
        assert (await again.page("/readyz"))[0] == 503

    play(tmp_path, story)


def test_a_password_of_etcd_that_has_changed_is_read_anew_and_the_same_term_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "password"
    file.write_text("first\n")
    flags = ("--etcd-user=kmsched", f"--etcd-password-file={file}")

    async def story(add: Callable[..., Peer]) -> None:
        model = EtcdModel(VirtualClock())
        model.set_password("kmsched", "first")
        leader = add("a", *flags, model=model)
        await asyncio.sleep(3)
        term = leader.term
        # a file that is ahead of etcd, and one that is no good, cost nothing
        for content in ("second", ""):
            file.write_text(content)
            await leader.daemon.reload()
            await asyncio.sleep(10)
            assert (leader.term, len(leader.subscribed)) == (term, 1)
        file.write_text("second")
        model.set_password("kmsched", "second")
        await leader.daemon.reload()
        await asyncio.sleep(10)
        assert (leader.term, len(leader.subscribed)) == (term, 1)
        assert "second" in "".join(model.tokens)

    play(tmp_path, story)
    kept = [line for line in caplog.messages if line.startswith("certificates and password for etcd stay as they were")]
    assert "the new ones are not taken: etcd at etcd:2379: etcdserver: authentication failed" in kept[0]
    assert "is empty; put the password there" in kept[1]
    assert caplog.messages.count("tokens, passwords and certificates are read anew") == 1
    assert "suspended" not in caplog.text


def test_a_leader_without_mesos_gives_the_lead_to_a_standby_that_reaches_it(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        second = add("b")
        for each in (first, second):
            each.world.is_mesos_away = True
        # its master falls silent, too; nobody could do better, so it leads on
        await asyncio.sleep(120)
        assert (await first.page("/leader"))[1]["leader"]["instance"] == "a"
        assert second.subscribed == []
        second.world.is_mesos_away = False
        await asyncio.sleep(PATIENCE_S + 2 * PROBE_S)
        assert first.task is not None
        assert isinstance(first.task.exception(), Deposed)
        assert len(second.subscribed) == 1
        _, told = await second.page("/leader")
        assert (told["role"], told["leader"]["instance"]) == ("reconciling", "b")
        assert told["leader"]["passed_on"] == 0, "it serves"

    play(tmp_path, story)


def test_metrics_tell_who_leads_since_when_and_how_long_nobody_did(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        first = add("a")
        await asyncio.sleep(3)
        second = add("b")
        await asyncio.sleep(5)
        told = await first.metrics()
        assert (told['kmsched_role{role="reconciling"}'], told["kmsched_leader"]) == (1, 0)
        assert told["kmsched_term"] == first.term
        assert told['kmsched_takeover_seconds{step="subscribed"}'] < 1
        assert told['mesos_scheduler_reconciliation_requested{kind="implicit"}'] >= 1
        assert told['mesos_scheduler_reconciliation_executed{kind="explicit"}'] >= 1
        told = await second.metrics()
        assert (told['kmsched_role{role="standby"}'], told["kmsched_term"]) == (1, 0)
        assert (told["kmsched_leaderless_seconds_total"], told["kmsched_failovers_total"]) == (0, 0)
        await first.kill()
        await asyncio.sleep(20)
        told = await second.metrics()
        assert told["kmsched_failovers_total"] == 1
        assert 0 < told["kmsched_leaderless_seconds_total"] < 5
        assert told["kmsched_term"] == second.term > first.term

    play(tmp_path, story)


def test_leaders_that_die_too_often_are_a_warning_and_a_metric(tmp_path: Path) -> None:
    async def story(add: Callable[..., Peer]) -> None:
        add("a")
        await asyncio.sleep(3)
        second = add("b")
        await asyncio.sleep(5)
        assert (await second.page("/readyz"))[1]["warnings"] == []
        assert (await second.metrics())["kmsched_takeover_alarm"] == 0
        assert second.daemon._group is not None
        deadman = second.daemon._group.deadman
        for _ in range(MAX_TAKEOVERS):
            deadman.note_takeover()
        for path in ("/readyz", "/api/v1/status"):
            status, told = await second.page(path)
            assert (status, told["ready"], told["warnings"]) == (200, True, [ALARM])
        assert (await second.metrics())["kmsched_takeover_alarm"] == 1
        await asyncio.sleep(TAKEOVERS_S)
        assert (await second.page("/readyz"))[1]["warnings"] == []
        told = await second.metrics()
        assert (told["kmsched_takeover_alarm"], told["kmsched_dead_leaders_total"]) == (0, MAX_TAKEOVERS)

    play(tmp_path, story)
