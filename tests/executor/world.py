"""A whole world for one executor behind one transport: its agent, the API server, kubelet's health check; and a
clock that runs fast."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kmsched.clients.http import Request, Response
from kmsched.errors import Unavailable
from kmsched.wire import taskdata

AGENT = "http://10.0.0.7:5051/slave(1)"
#: so many of the clock's seconds pass in a real one
SPEED = 50.0
PATIENCE_S = 20.0
Json = dict[str, Any]
#: what an agent sends that is drained with a limit of 20 s
DRAINED: Json = {"task_id": {"value": "t1"}, "kill_policy": {"grace_period": {"nanoseconds": 20 * 10**9}}}


class FastClock:
    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


async def until(what: Callable[[], object]) -> None:
    """Wait for it; a test that waits in vain fails with the source of `what`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline_s, inspect.getsource(what)
        await asyncio.sleep(0.005)


class QueueStream:
    """A body fed by the test; an exception ends it."""

    def __init__(self, status: int = 200, body: bytes = b"") -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._body = body
        self.queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            piece = await self.queue.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def read(self, limit: int) -> bytes:
        return self._body[:limit]


class World:
    """Tests change its fields; calls to the agent are in `calls`."""

    def __init__(self) -> None:
        self.calls: list[Json] = []
        self.agent: QueueStream | None = None
        self.agent_answer: tuple[int, bytes] = (200, b"")  # to SUBSCRIBE
        self.acknowledges = True
        self.messages = 0  # to the scheduler, that were begun
        self.takes_messages = asyncio.Event()
        self.takes_messages.set()
        self.kubelet_answer = 200
        self.dumb = ""  # host:port of a health check that does not answer
        self.pods: dict[str, Json] = {}
        self.node: Json | None = None
        self.deletions: list[Json] = []
        self.deletion_answer = 200
        self.patches: list[Json] = []
        self.node_events: list[Json] = []
        self.watches: dict[str, list[QueueStream]] = {"pods": [], "nodes": []}
        self.version = 1

    # --- what tests do

    def event(self, type_: str, **body: object) -> None:
        """Send one event to the executor, in two chunks."""
        record = json.dumps({"type": type_, **body}).encode()
        assert self.agent is not None
        framed = f"{len(record)}\n".encode() + record
        self.agent.queue.put_nowait(framed[:7])
        self.agent.queue.put_nowait(framed[7:])

    def launch(self, task_id: str, pod: str, uid: str, mode: str = "bind") -> None:
        data = taskdata.TaskData(mode="adopt" if mode == "adopt" else "bind", pod=pod, uid=uid)
        task = {
            "name": pod,
            "task_id": {"value": task_id},
            "agent_id": {"value": "a"},
            "data": base64.b64encode(taskdata.encode(data)).decode(),
            "later": {"field": 1},
        }
        self.event("LAUNCH", launch={"task": task})

    def cut(self) -> None:
        assert self.agent is not None
        self.agent.queue.put_nowait(Unavailable("the connection broke"))
        self.agent = None

    def set_pod(self, name: str, phase: str, task_id: str, **meta: object) -> None:
        self.version += 1
        metadata = {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
            "annotations": {"k8s.mesosphere.io/taskId": task_id},
            **meta,
        }
        resources = {"requests": {"cpu": "100m", "memory": "64Mi"}}
        spec = {"nodeName": "h1", "containers": [{"name": "c", "resources": resources}]}
        self.pods[name] = {"metadata": metadata, "spec": spec, "status": {"phase": phase}}
        self._changed("pods", "MODIFIED", self.pods[name])

    def remove_pod(self, name: str) -> None:
        self._changed("pods", "DELETED", self.pods.pop(name))

    def set_node(self, is_ready: bool = True, labels: Json | None = None) -> None:
        self.version += 1
        conditions = [{"type": "Ready", "status": "True" if is_ready else "False"}]
        meta = {"name": "h1", "resourceVersion": str(self.version), "labels": labels or {}}
        self.node = {"metadata": meta, "status": {"conditions": conditions}}
        self._changed("nodes", "MODIFIED", self.node)

    def remove_node(self) -> None:
        assert self.node is not None
        node, self.node = self.node, None
        self._changed("nodes", "DELETED", node)

    def subscriptions(self) -> list[Json]:
        return [call["subscribe"] for call in self.calls if call["type"] == "SUBSCRIBE"]

    def states(self, task_id: str) -> list[str]:
        statuses = [call["update"]["status"] for call in self.calls if call["type"] == "UPDATE"]
        return [s["state"].removeprefix("TASK_") for s in statuses if s["task_id"]["value"] == task_id]

    def last(self) -> Json:
        status: Json = [call["update"]["status"] for call in self.calls if call["type"] == "UPDATE"][-1]
        return status

    def _changed(self, kind: str, type_: str, obj: Json) -> None:
        for watch in self.watches[kind]:
            watch.queue.put_nowait(json.dumps({"type": type_, "object": obj}).encode() + b"\n")

    # --- the transport

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        await asyncio.sleep(0)
        url = urlsplit(request.url)
        if request.url.startswith(AGENT):
            call = json.loads(request.body or b"")
            if call["type"] == "MESSAGE":
                self.messages += 1
                await self.takes_messages.wait()
            return self._agent_call(call)
        if url.path == "/healthz" and url.netloc == self.dumb:
            raise Unavailable("silence")
        if url.path == "/healthz":
            return Response(self.kubelet_answer)
        if request.method == "DELETE":
            self.deletions.append({"path": url.path, **json.loads(request.body or b"{}")})
            return Response(self.deletion_answer, {}, b"{}")
        if url.path == "/api/v1/namespaces/default/events":
            self.node_events.append(json.loads(request.body or b""))
            return Response(201, {}, request.body or b"")
        if url.path == "/api/v1/nodes/h1":
            if request.method == "PATCH":
                self.patches.append(json.loads(request.body or b"{}"))
            return Response(200, {}, json.dumps(self.node).encode()) if self.node else Response(404, {}, b"{}")
        listed = {"metadata": {"resourceVersion": "1"}, "items": self._objects(url.path.rpartition("/")[2])}
        return Response(200, {}, json.dumps(listed).encode())

    def _objects(self, kind: str) -> list[Json]:
        return list(self.pods.values()) if kind == "pods" else [self.node] if self.node else []

    def _agent_call(self, call: Json) -> Response:
        if self.agent is None:
            raise Unavailable("no connection: Connection refused")
        self.calls.append(call)
        if call["type"] == "UPDATE" and self.acknowledges:
            self._acknowledge(call["update"]["status"])
        return Response(202)

    def _acknowledge(self, status: Json) -> None:
        self.event("ACKNOWLEDGED", acknowledged={"task_id": status["task_id"], "uuid": status["uuid"]})

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[QueueStream]:
        await asyncio.sleep(0)
        url = urlsplit(request.url)
        if not request.url.startswith(AGENT):
            assert parse_qs(url.query)["fieldSelector"][0] in ("spec.nodeName=h1", "metadata.name=h1")
            watch = QueueStream()
            kind = url.path.rpartition("/")[2]
            self.watches[kind].append(watch)
            # whatever changed since the list was answered
            for obj in self._objects(kind):
                watch.queue.put_nowait(json.dumps({"type": "MODIFIED", "object": obj}).encode() + b"\n")
            yield watch
            return
        status, body = self.agent_answer
        self.calls.append(json.loads(request.body or b""))
        stream = QueueStream(status, body)
        if status == 200:
            self.agent = stream
            self._subscribed()
            for update in self.calls[-1]["subscribe"]["unacknowledged_updates"] if self.acknowledges else ():
                self._acknowledge(update["status"])
        yield stream

    def _subscribed(self) -> None:
        def scalars(cpus: float, mem: float) -> list[Json]:
            amounts = {"cpus": cpus, "mem": mem}.items()
            return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in amounts]

        executor = {"executor_id": {"value": "km-1"}, "resources": scalars(0.1, 16)}
        attributes = [{"name": "rack", "type": "TEXT", "text": {"value": "b"}}]
        agent = {"hostname": "H1", "resources": scalars(0.9, 128), "attributes": attributes}
        body = {"executor_info": executor, "framework_info": {"name": "f"}, "agent_info": agent}
        self.event("SUBSCRIBED", subscribed=body)

    async def close(self) -> None:
        pass
