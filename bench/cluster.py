"""A Mesos master and a Kubernetes API server as functions in the scheduler's own process, and a scheduler before them.

Both answer at once, so that what is measured is the scheduler's.  The master holds agents' resources, offers what is
free, and starts nothing; agents whose offers were declined are offered again after REVIVE.  The API server tells of
pods when they are created.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench import messages
from kmsched import config, flags
from kmsched.clients.http import Request, Response
from kmsched.clock import SystemClock
from kmsched.core.step import step
from kmsched.daemon.main import Daemon
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import LocalFileUnreadable
from kmsched.wire.recordio import encode

Json = dict[str, Any]
SHA = "0123456789abcdef" * 4
#: what it finds missing is missing here
PREFLIGHT = "kmsched.daemon.preflight"
#: bytes that arrive together
CHUNK = 64 * 1024


class Stream:
    """A response that goes on as long as the process; `put` adds bytes."""

    status = 200

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.headers = headers or {}
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def put(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            self._queue.put_nowait(data[at : at + CHUNK])

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._queue.get()

    async def read(self, limit: int) -> bytes:
        return b""


class Cluster:
    """`on_accept` hears the uids of an ACCEPT's pods when it arrives."""

    def __init__(self, agents: int, on_accept: Callable[[list[str]], None]) -> None:
        self._free = {f"agent-{number}": dict(messages.AGENT) for number in range(agents)}
        self._held: dict[str, str] = {}  # offer id -> agent
        self._on_accept = on_accept
        self._offers = 0
        self._with_executor: set[str] = set()
        self._mesos = Stream({"mesos-stream-id": "s-1"})
        self._pods = Stream()
        self.is_reconciled = asyncio.Event()

    def create(self, numbers: Iterable[int]) -> None:
        """Pods, told by the watch."""
        self._pods.put(b"".join(messages.watch_line(messages.pod(number)) for number in numbers))

    # --- the transport

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        await asyncio.sleep(0)  # as every call that goes out
        if "/api/v1/scheduler" in request.url:
            if request.method == "GET":
                return Response(405, body=b"Expecting one of { 'POST' }, but received 'GET'")
            self._take(json.loads(request.body or b"{}"))
            return Response(202)
        items = [messages.node(name) for name in self._free] if "/nodes" in request.url else []
        return Response(200, body=json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode())

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[Stream]:
        if "/api/v1/scheduler" in request.url:
            self._tell("SUBSCRIBED", subscribed={"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 600})
            self._offer(self._free)
            yield self._mesos
        else:
            yield self._pods if "/pods" in request.url else Stream()

    async def close(self) -> None:
        pass

    # --- the master

    def _tell(self, type_: str, **body: object) -> None:
        self._mesos.put(encode(json.dumps({"type": type_, **body}).encode()))

    def _take(self, call: Json) -> None:
        match call["type"]:
            case "ACCEPT":
                self._accept(call["accept"])
            case "DECLINE":
                for each in call["decline"]["offer_ids"]:
                    self._held.pop(each["value"], None)
            case "REVIVE":
                self._offer(self._free.keys() - self._held.values())
            case "RECONCILE":
                for task in call["reconcile"].get("tasks", ()):
                    self._answer(task)

    def _answer(self, task: Json) -> None:
        is_sentinel = task["task_id"]["value"].startswith("sentinel")
        state = "TASK_UNKNOWN" if is_sentinel else "TASK_STAGING"
        self._tell(
            "UPDATE",
            update={
                "status": {
                    "task_id": task["task_id"],
                    "state": state,
                    "source": "SOURCE_MASTER",
                    "reason": "REASON_RECONCILIATION",
                }
            },
        )
        if is_sentinel:
            self.is_reconciled.set()

    def _accept(self, accept: Json) -> None:
        names = {self._held.pop(each["value"]) for each in accept["offer_ids"]}
        (name,) = names
        free = self._free[name]
        uids = []
        for operation in accept["operations"]:
            for task in operation["launch"]["task_infos"]:
                uids.append(task["task_id"]["value"].partition(".")[0])
                for one in task["resources"]:
                    free[one["name"]] -= one["scalar"]["value"]
                if name not in self._with_executor:
                    self._with_executor.add(name)
                    for one in task["executor"]["resources"]:
                        free[one["name"]] -= one["scalar"]["value"]
        self._on_accept(uids)
        self._offer(names)

    def _offer(self, names: Iterable[str]) -> None:
        offers = []
        for name in names:
            self._offers += 1
            offer_id = f"F-O{self._offers}"
            self._held[offer_id] = name
            offers.append(messages.offer(offer_id, name, self._free[name]))
        if offers:
            # as fast as can be: it is no part of what is measured
            told = msgspec.json.encode({"type": "OFFERS", "offers": {"offers": offers}})
            self._mesos.put(encode(told))


@contextlib.contextmanager
def _quiet(name: str, level: int) -> Iterator[None]:
    before = logging.getLogger(name).level
    logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        logging.getLogger(name).setLevel(before)


@asynccontextmanager
async def scheduling(cluster: Cluster, *more: str) -> AsyncIterator[None]:
    """A scheduler that knows all tasks; it ends with the context, and so does what runs in it if it fails."""

    def no_artifact(uri: str) -> Any:
        raise LocalFileUnreadable(f"{uri}: there are no files here")

    with (
        tempfile.TemporaryDirectory() as folder,
        _quiet("kmsched", logging.WARNING),
        _quiet(PREFLIGHT, logging.CRITICAL),
    ):
        settings = config.build(
            flags.parse(
                [
                    "--mesos-master=m:5050",
                    "--api-servers=http://api:8080",
                    f"--state-dir={Path(folder)}",
                    f"--km-path=/opt/{SHA}/km",
                    f"--kubelet-path=/opt/{SHA}/kubelet",
                    "--port=0",
                    *more,
                ],
                flags.SCHEDULER,
            )
        )
        daemon = Daemon(
            settings,
            Surroundings(
                clock=SystemClock(),
                rng=Random(1),
                make_transport=lambda _: cluster,
                environment={},
                hostname="s1",
                step=step,
                read_artifact=no_artifact,
            ),
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(daemon.run())
            await cluster.is_reconciled.wait()
            yield
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
