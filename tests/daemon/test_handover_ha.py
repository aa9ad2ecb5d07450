"""A leader with --ha that has no standby, and the process that replaces it, on a modelled etcd."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kmsched.daemon import respawn_channel as channel
from kmsched.daemon.respawn_channel import Channel, Word
from kmsched.errors import NotHandedOver
from kmsched.wire.members import Keys
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.daemon.peers import ETCD, Both
from tests.daemon.processes import World, settings
from tests.daemon.replacements import Host, play
from tests.virtual_time import VirtualClock


def told(tmp_path: Path, story: Callable[[Host, EtcdModel], Awaitable[None]]) -> None:
    models: list[EtcdModel] = []

    def host() -> Host:
        model = EtcdModel(VirtualClock())
        models.append(model)
        world = World()
        flags = ("--ha", f"--etcd-servers={ETCD}", "--ha-instance=a", "--ha-url=http://10.0.0.1:10251")
        config = settings(tmp_path, "--handover-timeout=15s", *flags)
        return Host(config, world, Both(world, EtcdWays(model, {ETCD: Way()})))

    async def with_model(host: Host) -> None:
        async def expire() -> None:
            while True:
                await asyncio.sleep(0.1)
                models[0].expire()

        lessor = asyncio.create_task(expire())
        try:
            await story(host, models[0])
        finally:
            lessor.cancel()

    play(host, with_model)


async def leader(host: Host, number: int) -> tuple[str, int, str]:
    """Role and term, and who leads as etcd shows it."""
    _, told = await host.page(number, "/leader")
    return told["role"], told["term"], told["leader"]["boot_id"] if told["leader"] else ""


def test_the_replacement_wins_a_term_of_its_own_and_is_the_only_member(tmp_path: Path) -> None:
    async def story(host: Host, model: EtcdModel) -> None:
        _, before, first = await leader(host, 0)
        assert await host.daemons[0].hand_over("SIGUSR1") == "process 100"
        await asyncio.wait({host.tasks[0]}, timeout=10)
        assert host.tasks[0].result() is None
        await asyncio.sleep(10)
        role, term, second = await leader(host, 1)
        assert (role, term > before, second != first) == ("reconciling", True, True)
        _, seen = await host.page(1, "/leader")
        assert [each["boot_id"] for each in seen["members"]] == [second]
        assert host.subscribed == 2

    told(tmp_path, story)


@pytest.mark.parametrize("has_stepped_aside", [False, True])
def test_after_a_replacement_that_fails_the_same_process_leads_on(tmp_path: Path, has_stepped_aside: bool) -> None:
    async def story(host: Host, model: EtcdModel) -> None:
        async def impostor(connection: Channel) -> None:
            if has_stepped_aside:
                assert host.daemons[0].scheduler is not None
                await connection.send(Word(channel.READY, fingerprint=host.daemons[0].scheduler.fingerprint))
            await connection.receive()

        _, before, first = await leader(host, 0)
        host.impostors.append(impostor)
        words = "whoever wins it leads: this process or a standby" if has_stepped_aside else "this process leads on"
        with pytest.raises(NotHandedOver, match=words):
            await host.daemons[0].hand_over("SIGUSR1")
        await asyncio.sleep(5)
        role, term, who = await leader(host, 0)
        assert (role, who, term > before) == ("reconciling", first, has_stepped_aside)
        assert await host.daemons[0].hand_over("once more") == "process 101"
        await asyncio.sleep(5)
        assert (await leader(host, 1))[1] > term

    told(tmp_path, story)


def test_the_lease_is_given_back_before_the_replacement_is_told_to_lead(tmp_path: Path) -> None:
    async def story(host: Host, model: EtcdModel) -> None:
        led: list[bool] = []

        async def impostor(connection: Channel) -> None:
            assert host.daemons[0].scheduler is not None
            led.append(_has_leader(model))
            await connection.send(Word(channel.READY, fingerprint=host.daemons[0].scheduler.fingerprint))
            await connection.receive()
            led.append(_has_leader(model))

        host.impostors.append(impostor)
        with pytest.raises(NotHandedOver, match="the connection was closed"):
            await host.daemons[0].hand_over("SIGUSR1")
        assert led == [True, False]

    told(tmp_path, story)


def _has_leader(model: EtcdModel) -> bool:
    return base64.b64encode(Keys("Kubernetes").leader.encode()).decode() in model.keys
