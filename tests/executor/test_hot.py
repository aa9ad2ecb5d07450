"""Hot settings in the executor: the newest version counts, whatever comes last; what is not known is let pass."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kmsched.clients.mesos_executor import MesosExecutorApi
from kmsched.clock import SystemClock
from kmsched.core.events import TaskState
from kmsched.core.resources import Resources
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor import hot
from kmsched.executor.agent import AgentLink, launched
from kmsched.executor.core import step
from kmsched.executor.state import State
from kmsched.wire import hotsettings, taskdata
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos import Id
from kmsched.wire.mesos_executor import TaskInfo
from kmsched.wire.recordio import encode
from tests.clients.fakes import HandlerTransport, Reply, Silence
from tests.executor.world import until

TOLD = HotSettings(settings_version=3, settings={"agent-log-level": "debug", "agent-idle-timeout": "90s"})


def state() -> State:
    return State(b"seed", 300.0, 1200.0)


def confirmed(effects: list[do.Effect]) -> list[int]:
    return [each.version for each in effects if isinstance(each, do.ConfirmSettings)]


# --- what is told


def test_a_message_is_read() -> None:
    assert hot.from_message(hotsettings.encode(TOLD)) == ev.SettingsReceived(3, "debug", 90.0, wants_answer=True)


def test_what_another_release_tells_is_let_pass_with_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    later = {"agent-colour": "red", "agent-log-level": "loud", "agent-idle-timeout": "soon"}
    found = hot.received(HotSettings(settings_version=4, settings=later), wants_answer=True)
    assert found == ev.SettingsReceived(4, "", None, wants_answer=True)
    assert [record.getMessage().partition(";")[0][:40] for record in caplog.records] == [
        "the setting agent-colour='red' is not kn",
        "the setting agent-idle-timeout: 'soon' i",
        "the setting agent-log-level='loud' is no",
    ]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"schema":2,"settings_version":1,"settings":{}}'])
def test_other_messages_are_told_and_left(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert hot.from_message(data) is None
    assert "ignored" in caplog.text


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (TOLD, [ev.SettingsReceived(3, "debug", 90.0, wants_answer=False)]),
        (msgspec.UNSET, []),
        ({"schema": 2, "settings_version": 3, "settings": {}}, []),
        ("of a later release", []),
    ],
)
def test_a_launch_brings_settings_first_and_never_fails_by_them(settings: object, first: list[ev.Event]) -> None:
    data = taskdata.encode(taskdata.TaskData(mode="bind", pod="ns/web", uid="u1", settings=settings))
    task = TaskInfo("ns/web", Id("u1.1.1"), Id("A1"), data=data)
    assert launched(task) == [*first, ev.TaskLaunched("u1.1.1", "bind", "ns/web", "u1")]


# --- which one counts


def test_the_idle_timeout_counts_at_once() -> None:
    it = state()
    subscribed = ev.Subscribed(Resources(cpus=4000, mem=8_000_000), Resources(cpus=250, mem=256_000), "H1")
    step(it, subscribed, 0.0)
    assert [type(each) for each in step(it, ev.Ticked(), 100.0)] == []
    effects = step(it, ev.SettingsReceived(3, "", 90.0, wants_answer=True), 100.0)
    assert confirmed(effects) == [3]
    assert [type(each) for each in step(it, ev.Ticked(), 101.0)] == [do.StopKubelet, do.Exit]


def test_the_log_level_is_set_once_for_each_version() -> None:
    it = state()
    settings = ev.SettingsReceived(3, "debug", None, wants_answer=True)
    assert [each.level for each in step(it, settings, 0.0) if isinstance(each, do.SetLogLevel)] == ["debug"]
    assert step(it, settings, 1.0) == [do.ConfirmSettings(3, "3 changes nothing")]


def test_an_older_scheduler_that_speaks_late_changes_nothing_and_hears_what_is_in_force() -> None:
    it = state()
    step(it, ev.SettingsReceived(5, "info", 600.0, wants_answer=True), 0.0)
    assert step(it, ev.SettingsReceived(4, "debug", 1.0, wants_answer=True), 1.0) == [
        do.ConfirmSettings(5, "4 changes nothing")
    ]
    assert it.idle_timeout_s == 600.0


def test_launches_confirm_once_and_not_for_each_task() -> None:
    it = state()
    settings = ev.SettingsReceived(3, "", 90.0, wants_answer=False)
    assert confirmed(step(it, settings, 0.0)) == [3]
    assert step(it, settings, 0.0) == []
    assert confirmed(step(it, ev.SettingsReceived(4, "", None), 0.0)) == [4]
    assert it.idle_timeout_s == 90.0


@pytest.fixture
def root_level() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@pytest.mark.usefixtures("root_level")
@pytest.mark.parametrize("level", sorted(hot.LEVELS))
def test_every_level_is_one_of_logging(level: str) -> None:
    hot.set_log_level(level)
    assert logging.getLevelName(logging.getLogger().level) == level.upper()


# --- on the wire


def test_the_answer_goes_to_the_scheduler_after_the_updates_that_wait() -> None:
    data = base64.b64encode(hotsettings.encode(TOLD)).decode()
    subscribed = {
        "executor_info": {"executor_id": {"value": "km-1"}},
        "framework_info": {"name": "f"},
        "agent_info": {"hostname": "h1"},
    }
    stream = encode(json.dumps({"type": "SUBSCRIBED", "subscribed": subscribed}).encode()) + encode(
        json.dumps({"type": "MESSAGE", "message": {"data": data}}).encode()
    )
    calls: list[Any] = []

    def answer(request: object) -> Reply:
        call = json.loads(transport.requests[-1].body or b"")
        calls.append(call)
        return Reply(200, (stream, Silence())) if call["type"] == "SUBSCRIBE" else Reply(202)

    transport = HandlerTransport(answer)
    told: list[ev.Event] = []
    update = do.SendUpdate("u1.1.1", TaskState.RUNNING, b"0" * 16, "", "", 0.0)

    async def scenario() -> None:
        def tell(event: ev.Event) -> None:
            told.append(event)
            if isinstance(event, ev.Subscribed):
                link.say(hotsettings.confirm(2))
                link.say(hotsettings.confirm(3))
                link.post(update)

        link = AgentLink(
            MesosExecutorApi("http://10.0.0.1:5051/slave(1)", "F", "km-1", transport),
            clock=SystemClock(),
            recovery_s=0.0,
            pause_max_s=0.0,
            tell=tell,
            unacknowledged=lambda: ([], []),
        )
        running = asyncio.create_task(link.run())
        await until(lambda: len(calls) == 3 and len(told) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    assert ev.SettingsReceived(3, "debug", 90.0, wants_answer=True) in told
    assert [call["type"] for call in calls] == ["SUBSCRIBE", "UPDATE", "MESSAGE"]
    assert hotsettings.confirmed(base64.b64decode(calls[2]["message"]["data"])) == 3
