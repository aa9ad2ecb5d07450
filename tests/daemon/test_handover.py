"""A scheduler without --ha and the process that replaces it: whoever fails, one leads, and never two."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kmsched.clients.store import FolderStore
from kmsched.daemon import respawn_channel as channel
from kmsched.daemon.respawn_channel import Channel, Word
from kmsched.errors import ConfigRefused, NotHandedOver
from tests.daemon.processes import World, settings
from tests.daemon.replacements import Host, play
from tests.daemon.values import pod_json


def told(tmp_path: Path, story: Callable[[Host], Awaitable[None]], *more: str) -> None:
    # the master of this world says nothing, and is left after 45 s
    play(lambda: Host(settings(tmp_path, "--handover-timeout=20s", *more), World(pod_json())), story)


def fingerprint(host: Host) -> str:
    scheduler = host.daemons[0].scheduler
    assert scheduler is not None
    return scheduler.fingerprint


async def is_refused(host: Host, words: str) -> None:
    with pytest.raises(NotHandedOver, match=words):
        await host.daemons[0].hand_over("SIGUSR1")
    assert all(child.was_ended for child in host.children)


async def leads(host: Host, number: int, term: int) -> None:
    """It answers, is subscribed, and has this term, which is on the disk."""
    await asyncio.sleep(5)
    _, ready = await host.page(number, "/readyz")
    assert (ready["role"], ready["term"], ready["framework_id"]) == ("reconciling", term, "f-1")
    assert json.loads((host.config.state_dir / "term").read_bytes())["value"] == str(term)


def test_the_replacement_leads_at_the_same_socket_under_the_same_lock_in_the_next_term(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        assert host.daemons[0].scheduler is not None
        url = host.daemons[0].scheduler.web.url
        assert await host.daemons[0].hand_over("SIGUSR1") == "process 100"
        await asyncio.wait({host.tasks[0]}, timeout=10)
        assert host.tasks[0].result() is None
        assert host.daemons[1].scheduler is not None
        assert host.daemons[1].scheduler.web.url == url
        assert host.subscribed == 2
        assert host.world.calls[-1].get("framework_id", {"value": "f-1"}) == {"value": "f-1"}
        await leads(host, 1, 2)
        with pytest.raises(ConfigRefused, match="in use by another scheduler"):
            FolderStore(tmp_path)
        assert await host.daemons[1].hand_over("SIGUSR1") == "process 101"
        await leads(host, 2, 3)

    told(tmp_path, story)


def test_before_it_leads_a_replacement_asks_nothing_of_mesos_and_writes_nothing(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        async def look(connection: Channel) -> None:
            await connection.receive()

        host.impostors.append(look)
        asking = asyncio.create_task(host.daemons[0].hand_over("SIGUSR1"))
        await asyncio.sleep(1)
        assert host.subscribed == 1
        with (
            contextlib.closing(FolderStore(tmp_path, os.open(tmp_path / "lock", os.O_RDWR))) as store,
            pytest.raises(ConfigRefused, match="the scheduler that this process shall replace still leads"),
        ):
            await store.create("digests", "x")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    told(tmp_path, story)


async def _silent(connection: Channel) -> None:
    await connection.receive()


async def _crashes(_: Channel) -> None:
    return


async def _rubbish(connection: Channel) -> None:
    assert connection._writer is not None
    connection._writer.write(b"Traceback (most recent call last):\n")
    await connection.receive()


async def _hurries(connection: Channel) -> None:
    await connection.send(Word(channel.LEADING, term=9))
    await connection.receive()


async def _refuses(connection: Channel) -> None:
    await connection.send(Word(channel.FAILED, reason="--km-path: no such file"))
    await connection.receive()


async def _differs(connection: Channel) -> None:
    await connection.send(Word(channel.READY, fingerprint="0123456789abcdef"))
    await connection.receive()


@pytest.mark.parametrize(
    ("impostor", "words"),
    [
        (_silent, "it was not ready within 20 s"),
        (_crashes, "the connection was closed; it ended with exit code 7"),
        (_rubbish, "it said b'Traceback"),
        (_hurries, "it said 'leading' when it should be ready"),
        (_refuses, "--km-path: no such file"),
        (_differs, "its fingerprint 0123456789abcdef is not ours"),
    ],
)
def test_one_that_is_not_ready_is_ended_and_nothing_has_changed(
    tmp_path: Path, impostor: Callable[[Channel], Awaitable[None]], words: str
) -> None:
    async def story(host: Host) -> None:
        host.impostors.append(impostor)
        await is_refused(host, words)
        assert host.subscribed == 1
        await leads(host, 0, 1)
        assert await host.daemons[0].hand_over("once more") == "process 101"

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("after_lead", "words"),
    [
        (_silent, "it was not leading within 10 s"),
        (_crashes, "the connection was closed"),
        (_refuses, "no such file"),
    ],
)
def test_one_that_fails_when_nobody_leads_is_ended_and_its_parent_leads_on_in_a_new_term(
    tmp_path: Path, after_lead: Callable[[Channel], Awaitable[None]], words: str
) -> None:
    async def story(host: Host) -> None:
        async def impostor(connection: Channel) -> None:
            await connection.send(Word(channel.READY, fingerprint=fingerprint(host)))
            assert (await connection.receive()).said == channel.LEAD
            await after_lead(connection)

        host.impostors.append(impostor)
        await is_refused(host, words)
        await leads(host, 0, 2)
        assert host.subscribed == 2
        assert await host.daemons[0].hand_over("once more") == "process 101"
        await leads(host, 1, 3)

    told(tmp_path, story)


def test_a_replacement_whose_parent_dies_before_it_was_asked_leads_by_itself(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        asking = asyncio.create_task(host.daemons[0].hand_over("SIGUSR1"))
        await host.is_launched.wait()
        host.children[0].is_forgotten = True
        await host.die(0)
        host.children[0].let_go()
        await asyncio.gather(asking, return_exceptions=True)
        await leads(host, 1, 2)

    told(tmp_path, story)


def test_a_second_one_is_refused_while_one_is_under_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(host: Host) -> None:
        host.impostors.append(_silent)
        first = asyncio.create_task(is_refused(host, "it was not ready"))
        await asyncio.sleep(1)
        with pytest.raises(NotHandedOver, match=r"a handover is under way already \(SIGUSR1\)"):
            await host.daemons[0].hand_over("SIGUSR1 once more")
        assert caplog.messages[-1].startswith("SIGUSR1 once more: not handed over: a handover is under way")
        await first
        assert len(host.children) == 1

    told(tmp_path, story)


def test_who_ends_before_the_replacement_leads_takes_it_along(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        host.impostors.append(_silent)
        asking = asyncio.create_task(host.daemons[0].hand_over("SIGUSR1"))
        await asyncio.sleep(1)
        await host.daemons[0].end("ended by SIGTERM")
        assert host.children[0].was_ended
        await asyncio.gather(asking, return_exceptions=True)

    told(tmp_path, story)


def test_there_is_no_standby_to_be_named_without_ha(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        with pytest.raises(NotHandedOver, match="b is no standby: there are none without --ha"):
            await host.daemons[0].hand_over("km resign", "b")
        assert host.children == []

    told(tmp_path, story)


def test_one_that_is_not_subscribed_itself_is_not_replaced(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        with pytest.raises(NotHandedOver, match="not subscribed with Mesos itself"):
            await host.daemons[0].hand_over("SIGUSR1")

    play(lambda: Host(settings(tmp_path), World(stream=[])), story)


def test_a_lock_that_is_inherited_must_be_that_of_the_state_folder(tmp_path: Path) -> None:
    with contextlib.closing(FolderStore(tmp_path / "a")) as other, pytest.raises(ConfigRefused, match="another state"):
        FolderStore(tmp_path / "b", other.lock_fd)


def test_one_with_another_port_listens_there(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        host.later_config = settings(tmp_path, f"--port={port}")
        assert await host.daemons[0].hand_over("SIGUSR1") == "process 100"
        await leads(host, 1, 2)
        scheduler = host.daemons[1].scheduler
        assert scheduler is not None
        assert scheduler.web.url.endswith(f":{port}")

    told(tmp_path, story)


def test_one_with_other_executors_is_refused(tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        host.later_config = settings(tmp_path, "--executor-mem=512")
        await is_refused(host, "the scheduler that this process shall replace still leads")
        await leads(host, 0, 1)

    told(tmp_path, story)
