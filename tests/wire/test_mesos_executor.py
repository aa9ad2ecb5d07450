from __future__ import annotations

import json

import pytest

from kmsched.errors import ProtocolError
from kmsched.wire import mesos_executor as wire
from kmsched.wire.mesos import ErrorEvent, Heartbeat, Id, Json, UnknownEvent
from kmsched.wire.mesos_executor import executor_event

TASK: Json = {
    "name": "pod",
    "task_id": {"value": "t"},
    "agent_id": {"value": "S"},
    "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
    "executor": {"executor_id": {"value": "E"}, "labels": {"labels": []}},
    "data": "aGk=",
    "from_tomorrow": [1],
}


def event(type_: str, **body: object) -> bytes:
    return json.dumps({"type": type_, **body}).encode()


def test_a_launched_task_is_typed_and_kept_whole() -> None:
    launch = executor_event(event("LAUNCH", launch={"task": TASK}))
    assert isinstance(launch, wire.Launch)
    assert (launch.task.name, launch.task.task_id, launch.task.data) == ("pod", Id("t"), b"hi")
    assert launch.raw == TASK


def test_subscribed_tells_agent_and_executor() -> None:
    body = {
        "executor_info": {"executor_id": {"value": "E"}, "framework_id": {"value": "F"}, "type": "CUSTOM"},
        "framework_info": {"name": "km", "user": "root", "checkpoint": True},
        "agent_info": {
            "hostname": "Agent1",
            "id": {"value": "S"},
            "resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 4096.0}}],
        },
        "container_id": {"value": "c"},
    }
    got = executor_event(event("SUBSCRIBED", subscribed=body))
    assert isinstance(got, wire.Subscribed)
    assert got.agent_info.hostname == "Agent1"
    assert got.agent_info.resources[0].scalar is not None
    assert got.executor_info.executor_id == Id("E")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (event("HEARTBEAT"), Heartbeat()),
        (event("SHUTDOWN"), wire.Shutdown()),
        (event("ERROR", error={"message": "m"}), ErrorEvent("m")),
        (event("MESSAGE", message={"data": "aGk="}), wire.ExecutorMessage(b"hi")),
        (
            event("ACKNOWLEDGED", acknowledged={"task_id": {"value": "t"}, "uuid": "AAE="}),
            wire.Acknowledged(Id("t"), b"\x00\x01"),
        ),
        (event("LAUNCH_GROUP", launch_group={"task_group": {}}), wire.LaunchGroup({})),
        (event("NEW"), UnknownEvent("NEW")),
    ],
)
def test_events(record: bytes, expected: wire.ExecutorEvent) -> None:
    assert executor_event(record) == expected


def test_a_kill_says_its_grace_or_nothing() -> None:
    task = {"task_id": {"value": "t"}}
    policies: list[dict[str, object]] = [
        {},
        {"kill_policy": {}},
        {"kill_policy": {"grace_period": {"nanoseconds": 2500000000}}},
    ]
    kills = [executor_event(event("KILL", kill={**task, **policy})) for policy in policies]
    assert [kill.grace_s for kill in kills if isinstance(kill, wire.Kill)] == [None, None, 2.5]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (event("LAUNCH"), "of type LAUNCH comes without its field `launch`"),
        (event("LAUNCH", launch={"task": {**TASK, "task_id": "t"}}), "the task of a LAUNCH"),
        (event("LAUNCH", launch={"task": 5}), "Expected `object`, got `int`"),
        (event("KILL", kill={"task_id": {"value": 5}}), "at `$.kill.task_id.value`"),
        (event("ACKNOWLEDGED", acknowledged={"task_id": {"value": "t"}, "uuid": 5}), "at `$.acknowledged.uuid`"),
        (event("SUBSCRIBED", subscribed={}), "missing required field `executor_info`"),
    ],
)
def test_wrong_types_name_the_field(record: bytes, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        executor_event(record)
    assert words in str(caught.value)


def test_subscribe_sends_back_tasks_whole_and_statuses() -> None:
    status = wire.new_status(
        task_id="t", executor_id="E", state="TASK_RUNNING", uuid=b"\x00\x01", timestamp=1.5, text="ok"
    )
    assert json.loads(wire.subscribe("E", "F", [TASK], [status])) == {
        "type": "SUBSCRIBE",
        "executor_id": {"value": "E"},
        "framework_id": {"value": "F"},
        "subscribe": {
            "unacknowledged_tasks": [TASK],
            "unacknowledged_updates": [
                {
                    "status": {
                        "task_id": {"value": "t"},
                        "state": "TASK_RUNNING",
                        "message": "ok",
                        "source": "SOURCE_EXECUTOR",
                        "executor_id": {"value": "E"},
                        "timestamp": 1.5,
                        "uuid": "AAE=",
                    }
                }
            ],
        },
    }


def test_update_and_message() -> None:
    status = wire.new_status(task_id="t", executor_id="E", state="TASK_FAILED", uuid=b"\x00", timestamp=2.0)
    assert json.loads(wire.update("E", "F", status))["update"]["status"]["state"] == "TASK_FAILED"
    assert json.loads(wire.message("E", "F", b"hi"))["message"] == {"data": "aGk="}
