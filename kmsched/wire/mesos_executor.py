"""What the Mesos v1 executor API sends and takes, as JSON: an agent's events, an executor's calls.

Tasks are kept both typed and raw, because an executor that subscribes again must send the unacknowledged ones
back whole.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from kmsched.wire.mesos import (
    Attribute,
    ErrorEvent,
    Heartbeat,
    Id,
    Json,
    Resource,
    TaskStatus,
    UnknownEvent,
    missing_body,
)
from kmsched.wire.typed import decode


class ExecutorInfo(Struct, frozen=True):
    """Ours, as the agent keeps it."""

    executor_id: Id
    framework_id: Id | None = None
    resources: list[Resource] = []
    data: bytes = b""
    name: str = ""


class FrameworkInfo(Struct, frozen=True):
    name: str
    user: str = ""
    id: Id | None = None
    principal: str | None = None
    checkpoint: bool = False


class AgentInfo(Struct, frozen=True):
    """The agent that runs this executor; `resources` are all that it has."""

    hostname: str
    id: Id | None = None
    port: int | None = None
    resources: list[Resource] = []
    attributes: list[Attribute] = []


class Subscribed(Struct, frozen=True):
    executor_info: ExecutorInfo
    framework_info: FrameworkInfo
    agent_info: AgentInfo
    container_id: Json | None = None


class TaskInfo(Struct, frozen=True):
    """What we read of a task; the rest is in `Launch.raw`."""

    name: str
    task_id: Id
    agent_id: Id
    resources: list[Resource] = []
    data: bytes = b""
    kill_policy: Json | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    task: TaskInfo
    #: the TaskInfo as it came, to be sent back in `unacknowledged_tasks`
    raw: Json


class LaunchGroup(Struct, frozen=True):
    """Never asked for by kmsched: to be answered with an error, not run."""

    task_group: Json = {}


class Duration(Struct, frozen=True):
    nanoseconds: int


class KillPolicy(Struct, frozen=True):
    grace_period: Duration | None = None


class Kill(Struct, frozen=True):
    task_id: Id
    kill_policy: KillPolicy | None = None

    @property
    def grace_s(self) -> float | None:
        """Seconds that the task may take to end; None when the call does not say."""
        if self.kill_policy is None or self.kill_policy.grace_period is None:
            return None
        return self.kill_policy.grace_period.nanoseconds / 1e9


class Acknowledged(Struct, frozen=True):
    task_id: Id
    uuid: bytes


class ExecutorMessage(Struct, frozen=True):
    """The scheduler's bytes for this executor."""

    data: bytes = b""


class Shutdown(Struct, frozen=True):
    pass


ExecutorEvent = (
    Subscribed
    | Launch
    | LaunchGroup
    | Kill
    | Acknowledged
    | ExecutorMessage
    | Shutdown
    | ErrorEvent
    | Heartbeat
    | UnknownEvent
)


class _RawLaunch(Struct):
    task: msgspec.Raw


class _Envelope(Struct):
    type: str
    subscribed: Subscribed | None = None
    launch: _RawLaunch | None = None
    launch_group: LaunchGroup | None = None
    kill: Kill | None = None
    acknowledged: Acknowledged | None = None
    message: ExecutorMessage | None = None
    error: ErrorEvent | None = None


_BODY_OF = {
    "SUBSCRIBED": "subscribed",
    "LAUNCH": "launch",
    "LAUNCH_GROUP": "launch_group",
    "KILL": "kill",
    "ACKNOWLEDGED": "acknowledged",
    "MESSAGE": "message",
    "ERROR": "error",
}
_BODILESS: Mapping[str, ExecutorEvent] = {"HEARTBEAT": Heartbeat(), "SHUTDOWN": Shutdown()}

_decoder = msgspec.json.Decoder(_Envelope)
_task_decoder = msgspec.json.Decoder(TaskInfo)
_raw_decoder = msgspec.json.Decoder(dict[str, Any])


def executor_event(record: bytes) -> ExecutorEvent:
    """The event in one record of an executor's stream.  ProtocolError names the field at fault."""
    what = "a Mesos executor event"
    envelope = decode(_decoder, record, what)
    if envelope.type in _BODILESS:
        return _BODILESS[envelope.type]
    if envelope.type not in _BODY_OF:
        return UnknownEvent(envelope.type)
    body = getattr(envelope, _BODY_OF[envelope.type])
    if body is None:
        raise missing_body(what, envelope.type, _BODY_OF[envelope.type])
    if isinstance(body, _RawLaunch):
        task = bytes(body.task)
        return Launch(decode(_task_decoder, task, "the task of a LAUNCH"), _raw_decoder.decode(task))
    event: ExecutorEvent = body
    return event


def subscribe(
    executor_id: str,
    framework_id: str,
    unacknowledged_tasks: Sequence[Json] = (),
    unacknowledged_updates: Sequence[TaskStatus] = (),
) -> bytes:
    """The SUBSCRIBE call: raw TaskInfos that were never acknowledged, statuses sent but not acknowledged."""
    body = {
        "unacknowledged_tasks": list(unacknowledged_tasks),
        "unacknowledged_updates": [{"status": status} for status in unacknowledged_updates],
    }
    return _call("SUBSCRIBE", executor_id, framework_id, "subscribe", body)


def update(executor_id: str, framework_id: str, status: TaskStatus) -> bytes:
    """The UPDATE call.  `status` must have uuid, source SOURCE_EXECUTOR and executor_id: see `new_status`."""
    return _call("UPDATE", executor_id, framework_id, "update", {"status": status})


def message(executor_id: str, framework_id: str, data: bytes) -> bytes:
    """The MESSAGE call: bytes for the scheduler, delivered at best once."""
    body = {"data": base64.b64encode(data).decode("ascii")}
    return _call("MESSAGE", executor_id, framework_id, "message", body)


def new_status(
    *,
    task_id: str,
    executor_id: str,
    state: str,
    uuid: bytes,
    timestamp: float,
    text: str | None = None,
    reason: str | None = None,
    data: bytes | None = None,
    healthy: bool | None = None,
) -> TaskStatus:
    """An executor's own status; `uuid` has 16 bytes, `timestamp` is in seconds since the epoch."""
    return TaskStatus(
        task_id=Id(task_id),
        state=state,
        message=text,
        source="SOURCE_EXECUTOR",
        reason=reason,
        data=data,
        executor_id=Id(executor_id),
        timestamp=timestamp,
        uuid=uuid,
        healthy=healthy,
    )


def _call(type_: str, executor_id: str, framework_id: str, field: str, body: object) -> bytes:
    call = {
        "type": type_,
        "executor_id": {"value": executor_id},
        "framework_id": {"value": framework_id},
        field: body,
    }
    return msgspec.json.encode(call)
