"""What a store in etcd tells that one in a folder never has to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random

from kmsched.clients.etcd import EtcdClient
from kmsched.clients.etcd_store import EtcdStore
from kmsched.wire.etcd import Delete
from kmsched.wire.members import Keys
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.virtual_time import VirtualClock

ENDPOINT = "http://etcd:2379"


def test_a_watch_tells_of_what_is_deleted_also_while_it_is_broken() -> None:
    async def story() -> None:
        clock = VirtualClock()
        model = EtcdModel(clock)
        client = EtcdClient([ENDPOINT], EtcdWays(model, {ENDPOINT: Way()}), clock, call_deadline_s=1.0)
        keys = Keys("Kubernetes")
        store = EtcdStore(client, keys, lambda: None, clock, Random(1))
        for key in ("rollout", "term"):
            await store.create(key, "1")
        heard: list[str] = []

        async def listen() -> None:
            async with aclosing(store.watch("")) as watch:
                async for key in watch:
                    heard.append(key)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(1)
        assert heard == ["rollout", "term"]
        heard.clear()
        await client.txn([], [Delete(f"{keys.prefix}term")])
        await asyncio.sleep(1)
        assert heard == ["term"]
        heard.clear()
        model.break_watches()
        await client.txn([], [Delete(f"{keys.prefix}rollout")])
        await asyncio.sleep(10)
        assert heard == ["rollout", "term"]
        assert [await store.get(each) for each in heard] == [None, None]
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    virtual_time.run(story())
