from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.etcd_access import EtcdAccess
from kmsched.clients.http import Transport
from kmsched.errors import ConfigRefused, KmError
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.daemon.groups import ETCD, config
from tests.virtual_time import VirtualClock


class World:
    """etcd with a user; whoever shows a certificate that is `expired` is not let in."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.password = folder / "cert", folder / "password"
        self.cert.write_text("first")
        self.password.write_text("first")
        self.model = EtcdModel(VirtualClock())
        self.model.set_password("kmsched", "first")
        self.ways: list[EtcdWays] = []
        ha = replace(
            config("a"), etcd_user="kmsched", etcd_password_file=str(self.password), etcd_cert_file=str(self.cert)
        )
        self.access = EtcdAccess(ha, "/k", self._transport, VirtualClock())

    def _transport(self, tls: TlsSettings) -> Transport:
        shown = Path(tls.cert_file or "").read_text()
        if not shown:
            raise ConfigRefused("the client certificate is empty")
        self.ways.append(EtcdWays(self.model, {ETCD: Way(is_cut=shown == "expired")}))
        return self.ways[-1]

    async def works(self) -> bool:
        try:
            await self.access.client.range("/k")
        except KmError:
            return False
        return True


def play(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        await story(World(folder))

    virtual_time.run(main())


def test_another_certificate_is_used_from_the_next_call_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await world.works()
        world.cert.write_text("second")
        assert await world.access.renew() == ""
        before = len(world.ways[0].calls)
        assert await world.works()
        assert len(world.ways[0].calls) == before
        assert len(world.ways[1].calls) > 1

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("certificate", "password", "words"),
    [
        ("", "first", "the client certificate is empty"),
        ("second", "", "is empty; put the password there"),
        ("expired", "first", "the new ones are not taken: etcd: e1:2379: no connection: Connection refused"),
        ("second", "of tomorrow", "the new ones are not taken: etcd at e1:2379: etcdserver: authentication failed"),
    ],
)
def test_what_cannot_be_used_changes_nothing(tmp_path: Path, certificate: str, password: str, words: str) -> None:
    async def story(world: World) -> None:
        assert await world.works()
        world.cert.write_text(certificate)
        world.password.write_text(password)
        kept = await world.access.renew()
        assert kept.startswith("certificates and password for etcd stay as they were: ")
        assert words in kept
        world.model.tokens.clear()
        assert await world.works()

    play(tmp_path, story)


def test_what_works_no_more_is_given_up_though_the_new_ones_cannot_be_tried(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.model.set_password("kmsched", "second")
        world.model.lose_quorum()
        world.password.write_text("second")
        assert await world.access.renew() == ""
        world.model.regain_quorum()
        await asyncio.sleep(1)
        assert await world.works()

    play(tmp_path, story)
