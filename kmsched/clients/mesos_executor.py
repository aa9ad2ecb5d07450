"""The Mesos v1 executor API of one agent, seen from the executor.

Knows one stream and single calls.  Refuses to know when to subscribe again and for how long: the recovery
timeout is the executor's matter.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from kmsched.clients.http import Request, Transport, excerpt
from kmsched.errors import ExecutorUnknown, NotSubscribed, ProtocolError, Unavailable
from kmsched.wire import mesos_executor as wire
from kmsched.wire import recordio
from kmsched.wire.mesos import Json, TaskStatus

EXECUTOR_API = "/api/v1/executor"
CONNECT_S = 5.0
CALL_DEADLINE_S = 5.0
#: An agent's heartbeats to executors come every 30 minutes.
IDLE_S = 2 * 3600.0
ERROR_TEXT_BYTES = 2000
#: What an agent says when the executor or its framework is not (or no longer) one of its own.
UNKNOWN_WORDS = "cannot be found"


def agent_url(slave_pid: str, scheme: str = "http") -> str:
    """The base URL in MESOS_SLAVE_PID (`slave(1)@10.0.0.1:5051`).  ProtocolError if it is none."""
    name, at, address = slave_pid.partition("@")
    if not (name and at and address):
        raise ProtocolError(f"MESOS_SLAVE_PID must look like slave(1)@10.0.0.1:5051, not {slave_pid!r}")
    return f"{scheme}://{address}/{name}"


@dataclass(frozen=True, slots=True)
class MesosExecutorApi:
    """`agent_url` as `agent_url()` gives it; `token` is MESOS_EXECUTOR_AUTHENTICATION_TOKEN, if set."""

    agent_url: str
    framework_id: str
    executor_id: str
    transport: Transport
    token: str | None = None

    async def subscribe(
        self, unacknowledged_tasks: Sequence[Json] = (), unacknowledged_updates: Sequence[TaskStatus] = ()
    ) -> AsyncGenerator[wire.ExecutorEvent, None]:
        """The events of one subscription; never ends but by raising, or by being closed.

        Unavailable: the agent cannot be reached, is recovering (503), or the stream ended: subscribe again.
        ExecutorUnknown: the agent does not know us; stop for good.  ProtocolError: not a Mesos agent's words.
        """
        body = wire.subscribe(self.executor_id, self.framework_id, unacknowledged_tasks, unacknowledged_updates)
        async with self.transport.stream(self._request(body), connect_s=CONNECT_S, idle_s=IDLE_S) as reply:
            if reply.status != 200:
                raise self._refusal(reply.status, await reply.read(ERROR_TEXT_BYTES))
            decoder = recordio.Decoder()
            async for chunk in reply.chunks():
                for record in decoder.feed(chunk):
                    yield wire.executor_event(record)
        raise Unavailable(f"the agent {self.agent_url} ended the stream")

    async def update(self, status: TaskStatus) -> None:
        """Send one status; it is safe with the agent only when ACKNOWLEDGED comes.  Errors as for `send`."""
        await self.send(wire.update(self.executor_id, self.framework_id, status))

    async def message(self, data: bytes) -> None:
        await self.send(wire.message(self.executor_id, self.framework_id, data))

    async def send(self, call: bytes) -> None:
        """One call.  Unavailable: try again; NotSubscribed: subscribe first; ExecutorUnknown: stop."""
        reply = await self.transport.call(self._request(call), deadline_s=CALL_DEADLINE_S)
        if reply.status != 202:
            raise self._refusal(reply.status, reply.body)

    def _request(self, body: bytes) -> Request:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return Request("POST", self.agent_url + EXECUTOR_API, headers, body)

    def _refusal(self, status: int, body: bytes) -> Exception:
        said = f"the agent {self.agent_url} answered {status}: {excerpt(body)}"
        text = body.decode("utf-8", "replace").lower()
        if status == 400 and UNKNOWN_WORDS in text:
            return ExecutorUnknown(f"{said} (executor {self.executor_id}, framework {self.framework_id})")
        if status == 401:
            what = "does not take the token of" if self.token else "wants a token, and gave none to"
            return ProtocolError(
                f"{said}; it {what} executor {self.executor_id}: see its --authenticate_http_executors"
            )
        if status == 403:
            return NotSubscribed(said)
        if status in (404, 429) or status >= 500 or 300 <= status < 400:
            return Unavailable(said)
        return ProtocolError(said)
