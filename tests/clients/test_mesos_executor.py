from __future__ import annotations

import asyncio
import json

import pytest

from kmsched.clients.http import Request
from kmsched.clients.mesos_executor import MesosExecutorApi, agent_url
from kmsched.errors import ExecutorUnknown, KmError, NotSubscribed, ProtocolError, Unavailable
from kmsched.wire.mesos import Heartbeat, Id
from kmsched.wire.mesos_executor import ExecutorEvent, Kill, new_status
from kmsched.wire.recordio import encode
from tests.clients.fakes import HandlerTransport, Piece, Reply

KILL = encode(b'{"type":"KILL","kill":{"task_id":{"value":"t"}}}')
HEARTBEAT = encode(b'{"type":"HEARTBEAT"}')
STATUS = new_status(task_id="t", executor_id="E", state="TASK_RUNNING", uuid=b"\x00", timestamp=1.0)


def rig(*body: Piece, status: int = 200, token: str | None = None) -> tuple[MesosExecutorApi, HandlerTransport]:
    transport = HandlerTransport(lambda request: Reply(status, body))
    return MesosExecutorApi("http://10.0.0.1:5051/slave(1)", "F", "E", transport, token), transport


async def read(api: MesosExecutorApi) -> tuple[list[ExecutorEvent], KmError]:
    events = []
    try:
        async for event in api.subscribe([{"name": "raw"}], [STATUS]):
            events.append(event)
    except KmError as error:
        return events, error
    raise AssertionError("a subscription never ends without an error")


@pytest.mark.parametrize("cut", range(len(KILL + HEARTBEAT) + 1))
def test_events_come_however_the_bytes_are_cut(cut: int) -> None:
    stream = KILL + HEARTBEAT
    api, transport = rig(stream[:cut], stream[cut:])
    events, error = asyncio.run(read(api))
    assert events == [Kill(Id("t")), Heartbeat()]
    assert isinstance(error, Unavailable)
    assert str(error) == "the agent http://10.0.0.1:5051/slave(1) ended the stream"
    assert transport.open_streams == 0


def test_subscribe_sends_what_was_not_acknowledged() -> None:
    api, transport = rig(KILL, token="jwt")
    asyncio.run(read(api))
    (request,) = transport.requests
    assert request.url == "http://10.0.0.1:5051/slave(1)/api/v1/executor"
    assert request.headers["authorization"] == "Bearer jwt"
    sent = json.loads(request.body or b"")
    assert sent["subscribe"]["unacknowledged_tasks"] == [{"name": "raw"}]
    assert sent["subscribe"]["unacknowledged_updates"][0]["status"]["task_id"] == {"value": "t"}
    assert (sent["executor_id"], sent["framework_id"]) == ({"value": "E"}, {"value": "F"})


REFUSALS = [
    (503, b"Agent has not finished recovery", Unavailable),
    (404, b"", Unavailable),
    (307, b"", Unavailable),
    (400, b"Framework cannot be found", ExecutorUnknown),
    (400, b"Executor cannot be found", ExecutorUnknown),
    (400, b"Failed to validate executor::Call", ProtocolError),
    (403, b"Executor is not subscribed", NotSubscribed),
    (401, b"", ProtocolError),
]


@pytest.mark.parametrize(("status", "text", "kind"), REFUSALS)
def test_refused_subscriptions(status: int, text: bytes, kind: type[KmError]) -> None:
    api, _ = rig(text, status=status)
    events, error = asyncio.run(read(api))
    assert events == []
    assert type(error) is kind
    assert f"answered {status}: {text.decode() or '(nothing)'}" in str(error)


@pytest.mark.parametrize(("status", "text", "kind"), REFUSALS)
def test_refused_calls(status: int, text: bytes, kind: type[KmError]) -> None:
    api, _ = rig(text, status=status)
    with pytest.raises(kind, match=f"answered {status}"):
        asyncio.run(api.update(STATUS))


def test_updates_and_messages_are_sent() -> None:
    api, transport = rig(status=202)

    async def scenario() -> None:
        await api.update(STATUS)
        await api.message(b"hi")

    asyncio.run(scenario())

    def type_of(request: Request) -> object:
        return json.loads(request.body or b"")["type"]

    assert [type_of(request) for request in transport.requests] == ["UPDATE", "MESSAGE"]


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>", "RecordIO length"), (encode(b'{"type":"KILL"}'), "comes without its field `kill`")],
)
def test_garbage_is_a_protocol_error(body: bytes, words: str) -> None:
    api, _ = rig(body)
    events, error = asyncio.run(read(api))
    assert events == []
    assert isinstance(error, ProtocolError)
    assert words in str(error)


def test_the_agent_s_address_comes_from_its_pid() -> None:
    assert agent_url("slave(1)@10.0.0.1:5051") == "http://10.0.0.1:5051/slave(1)"


@pytest.mark.parametrize("pid", ["", "slave(1)", "@10.0.0.1:5051", "slave(1)@"])
def test_other_pids_are_refused(pid: str) -> None:
    with pytest.raises(ProtocolError, match=r"must look like slave\(1\)@10.0.0.1:5051"):
        agent_url(pid)
