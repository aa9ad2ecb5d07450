"""Events that people read: repeated news is one Event with a count, failures are said once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.daemon.pod_events import MAX_CAUSES, MAX_WAITING, REPEAT_S, PodEvents, event_name
from tests.clients.fakes import FakeClock, HandlerTransport, Reply
from tests.daemon.values import report

ACCESS = KubeAccess(servers=("http://api:8080",), tls=TlsSettings(), user="test")


def answer(status: int) -> Callable[[Request], Reply]:
    return lambda _: Reply(status, [b"{}"])


class Scene:
    def __init__(self, handler: Callable[[Request], Reply]) -> None:
        self.clock = FakeClock()
        self.transport = HandlerTransport(handler)
        kube = KubeClient(ACCESS, make_transport=lambda _: self.transport, clock=self.clock)
        self.events = PodEvents(kube, "default-scheduler", self.clock)

    @property
    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        return [(request.method, json.loads(request.body or b"{}")) for request in self.transport.requests]

    async def write_all(self) -> None:
        """Write until nothing waits."""
        running = asyncio.create_task(self.events.run())
        for _ in range(200):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_news_is_one_event_on_its_pod() -> None:
    async def scenario() -> None:
        scene = Scene(answer(201))
        scene.events.put(report())
        await scene.write_all()
        ((method, body),) = scene.sent
        assert method == "POST"
        assert body["involvedObject"]["uid"] == "uid-web"
        assert body["reason"] == "FailedScheduling"
        assert body["type"] == "Warning"
        assert body["message"] == "0/1 agents: 1 insufficient cpu"
        assert body["source"] == {"component": "default-scheduler"}

    asyncio.run(scenario())


def test_the_same_news_is_counted_and_written_again_after_a_while() -> None:
    async def scenario() -> None:
        scene = Scene(answer(200))
        scene.events.put(report())
        await scene.write_all()
        scene.events.put(report())
        scene.events.put(report())
        await scene.write_all()
        assert len(scene.sent) == 1
        scene.clock.now_s += REPEAT_S
        scene.events.put(report())
        await scene.write_all()
        method, body = scene.sent[-1]
        assert len(scene.sent) == 2
        assert (method, body["count"]) == ("PATCH", 4)

    asyncio.run(scenario())


def test_other_news_of_the_same_pod_is_another_event() -> None:
    async def scenario() -> None:
        scene = Scene(answer(201))
        scene.events.put(report("one"))
        scene.events.put(report("two"))
        await scene.write_all()
        assert len({body["metadata"]["name"] for _, body in scene.sent}) == 2

    asyncio.run(scenario())


def test_an_event_that_an_earlier_scheduler_wrote_is_counted_up_and_an_expired_one_made_anew() -> None:
    async def scenario() -> None:
        scene = Scene(lambda request: Reply(409 if request.method == "POST" else 200, [b"{}"]))
        scene.events.put(report())
        await scene.write_all()
        assert [method for method, _ in scene.sent] == ["POST", "PATCH"]
        expired = Scene(lambda request: Reply(201 if request.method == "POST" else 404, [b"{}"]))
        expired.events.put(report())
        await expired.write_all()
        expired.clock.now_s += REPEAT_S
        expired.events.put(report())
        await expired.write_all()
        assert [method for method, _ in expired.sent] == ["POST", "PATCH", "POST"]

    asyncio.run(scenario())


def test_failures_are_said_once_and_the_writer_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        scene = Scene(answer(500))
        for number in range(5):
            scene.events.put(report(str(number)))
        await scene.write_all()
        assert len(scene.sent) == 5

    asyncio.run(scenario())
    assert len([record for record in caplog.records if "cannot be written" in record.getMessage()]) == 1


def test_too_much_news_drops_the_oldest() -> None:
    async def scenario() -> None:
        scene = Scene(answer(201))
        for number in range(MAX_WAITING + 2):
            scene.events.put(report(str(number), name=f"web-{number}"))
        await scene.events.write_next()
        assert scene.sent[0][1]["message"] == "2"

    asyncio.run(scenario())


def test_the_name_says_the_pod_and_differs_by_what_is_told() -> None:
    name = event_name("web", ("u1", "FailedScheduling", "one"))
    assert name.startswith("web.")
    assert name != event_name("web", ("u1", "FailedScheduling", "two"))
    assert name != event_name("web", ("u2", "FailedScheduling", "one"))
    assert len(event_name("x" * 253, ("u1", "FailedScheduling", "one"))) <= 253


def test_the_same_cause_in_other_words_is_the_same_event_with_the_newest_words() -> None:
    async def scenario() -> None:
        scene = Scene(answer(200))
        for short_by in (100, 200, 300):
            scene.events.put(report(f"short by {short_by}m", about="offers"))
            await scene.write_all()
            scene.clock.now_s += REPEAT_S
        requests = scene.transport.requests
        assert [request.method for request in requests] == ["POST", "PATCH", "PATCH"]
        name = scene.sent[0][1]["metadata"]["name"]
        assert all(request.url.endswith(f"/{name}") for request in requests[1:])
        assert [(body["message"], body["count"]) for _, body in scene.sent[1:]] == [
            ("short by 200m", 2),
            ("short by 300m", 3),
        ]

    asyncio.run(scenario())


def test_causes_that_take_turns_make_no_more_events_than_there_are_causes() -> None:
    async def scenario() -> None:
        scene = Scene(answer(200))
        for turn in range(40):
            scene.events.put(report(f"try {turn}", about="AB"[turn % 2]))
            await scene.write_all()
            scene.clock.now_s += REPEAT_S / 4
        methods = [method for method, _ in scene.sent]
        assert methods.count("POST") == 2
        # 300 s, and each of them at most every 30
        assert methods.count("PATCH") <= 2 * 300 / REPEAT_S

    asyncio.run(scenario())


def test_a_pod_with_ever_new_causes_has_a_bounded_number_of_events() -> None:
    async def scenario() -> None:
        scene = Scene(answer(200))
        for number in range(MAX_CAUSES + 20):
            scene.events.put(report(f"cause {number}", about=str(number)))
            await scene.write_all()
            scene.clock.now_s += REPEAT_S
        methods = [method for method, _ in scene.sent]
        assert methods.count("POST") == MAX_CAUSES + 1
        assert methods[-1] == "PATCH"
        assert scene.sent[-1][1] == {**scene.sent[-1][1], "message": f"cause {MAX_CAUSES + 19}", "count": 20}

    asyncio.run(scenario())
