"""What a scheduler without peers tells of itself: to systemd, at /leader, and on its page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from kmsched.core.leadership import Fact
from tests.daemon.processes import Process, World, is_subscribed
from tests.daemon.values import pod_json


def test_a_scheduler_alone_is_its_own_leader_once_it_is_active(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process(tmp_path, World(pod_json()))

        async def ask() -> None:
            scheduler = process.daemon.scheduler
            assert scheduler is not None
            words, _, why = scheduler.told.status_line().partition("; ")
            assert words == "reconciling, term 1, 0 agents, 1 pods"
            assert why == "waiting: the state of all tasks is not reconciled with Mesos yet"
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{scheduler.web.url}/leader") as reply:
                    told = await reply.json()
                assert (reply.status, told["role"], told["leader"]) == (503, "reconciling", None)
                scheduler.lead.tell(Fact.SETTLED)
                assert scheduler.told.status_line().startswith("leader, term 1, 0 agents, 1 pods")
                async with session.get(f"{scheduler.web.url}/leader") as reply:
                    told = await reply.json()
                assert (reply.status, told["instance"], told["members"]) == (200, "s1", [])
                assert told["leader"] == {"instance": "s1", "url": scheduler.web.url}
                assert (told["leader_term"], told["since_s"]) == (1, scheduler.tenure.since_s)
                async with session.get(f"{scheduler.web.url}/api/v1/pending") as reply:
                    pending = await reply.json()
                assert (pending["pods"], pending["reasons"][0]["example"]) == (1, "default/web")
                async with session.get(f"{scheduler.web.url}/") as reply:
                    page = await reply.text()
                assert "default/web" in page
                async with session.post(f"{scheduler.web.url}/api/v1/resign") as reply:
                    assert reply.status == 403

        await process.until(is_subscribed, ask)

    asyncio.run(scenario())
