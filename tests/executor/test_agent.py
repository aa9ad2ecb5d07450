"""The link to the agent: what it keeps for the next SUBSCRIBE, and for how long."""

from __future__ import annotations

import asyncio
import base64
import json

from kmsched.clients.mesos_executor import MesosExecutorApi
from kmsched.clock import SystemClock
from kmsched.executor import events as ev
from kmsched.executor.agent import AgentLink
from kmsched.wire.recordio import encode
from tests.clients.fakes import HandlerTransport, Reply


def launch(task_id: str) -> bytes:
    data = base64.b64encode(b'{"mode":"bind","pod":"ns/web","uid":"u1"}').decode()
    task = {"name": "ns/web", "task_id": {"value": task_id}, "agent_id": {"value": "A1"}, "data": data}
    return encode(json.dumps({"type": "LAUNCH", "launch": {"task": task}}).encode())


def acknowledged(task_id: str) -> bytes:
    body = {"task_id": {"value": task_id}, "uuid": base64.b64encode(b"0" * 16).decode()}
    return encode(json.dumps({"type": "ACKNOWLEDGED", "acknowledged": body}).encode())


def test_a_launch_is_kept_until_an_update_of_it_is_acknowledged() -> None:
    """An executor lives for months, and its own memory limit would end it, and kubelet with it."""
    stream = b"".join(launch(f"t{n}") + acknowledged(f"t{n}") for n in range(20)) + launch("last")
    transport = HandlerTransport(lambda request: Reply(200, (stream,)))
    told: list[ev.Event] = []
    link = AgentLink(
        MesosExecutorApi("http://10.0.0.1:5051/slave(1)", "F", "E", transport),
        clock=SystemClock(),
        recovery_s=0.0,
        pause_max_s=0.0,
        tell=told.append,
        unacknowledged=lambda: ([], []),
    )
    asyncio.run(link.run())
    assert len([event for event in told if isinstance(event, ev.TaskLaunched)]) == 21
    assert link.launches_kept == 1
