"""A whole scheduler process against fakes: an API server with pods, a Mesos master that says what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from kmsched import config, flags
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.config import SchedulerConfig
from kmsched.core.effects import Effect
from kmsched.core.events import Event, Subscribed
from kmsched.core.state import State
from kmsched.core.step import step
from kmsched.daemon.core import StepState
from kmsched.daemon.main import Daemon
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import ConfigRefused, LocalFileUnreadable, Unavailable
from kmsched.wire.recordio import encode
from tests.clients.fakes import FakeClock, HandlerTransport, Piece, Reply, Silence

SHA = "0123456789abcdef" * 4


def settings(folder: Path, *more: str) -> SchedulerConfig:
    return config.build(
        flags.parse(
            [
                "--mesos-master=m:5050",
                "--api-servers=http://api:8080",
                f"--state-dir={folder}",
                f"--km-path=/opt/{SHA}/km",
                f"--kubelet-path=/opt/{SHA}/kubelet",
                "--port=0",
                *more,
            ],
            flags.SCHEDULER,
        )
    )


def record(type_: str, **body: object) -> bytes:
    return encode(json.dumps({"type": type_, **body}).encode())


class World:
    """An API server with `pods`, and a Mesos master that answers SUBSCRIBE with `stream`."""

    def __init__(self, *pods: dict[str, Any], stream: Sequence[Piece] | None = None) -> None:
        self.pods = pods
        subscribed = record(
            "SUBSCRIBED", subscribed={"framework_id": {"value": "f-1"}, "heartbeat_interval_seconds": 15}
        )
        self.stream = (subscribed, Silence()) if stream is None else stream
        self.order: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.transport = HandlerTransport(self.answer)
        self.artifacts: dict[str, bytes] = {}
        self.is_mesos_away = False
        self.lease: dict[str, Any] = {"spec": {}}  # of kube-scheduler
        self.tls: list[TlsSettings] = []
        #: why certificates for Mesos cannot be used
        self.bad_files = ""

    def make_transport(self, tls: TlsSettings) -> HandlerTransport:
        self.tls.append(tls)
        if self.bad_files and tls.names.server == "--mesos-master":
            raise ConfigRefused(self.bad_files)
        return self.transport

    def read(self, uri: str) -> Iterator[bytes]:
        if uri not in self.artifacts:
            raise LocalFileUnreadable(f"{uri}: No such file or directory")
        yield self.artifacts[uri]

    def answer(self, request: Request) -> Reply:
        if "/api/v1/scheduler" in request.url:
            if self.is_mesos_away:
                raise Unavailable("m:5050: no connection: No route to host")
            if request.method == "GET":
                return Reply(405, (b"Expecting one of { 'POST' }, but received 'GET'",))
            call = json.loads(request.body or b"")
            self.calls.append(call)
            self.order.append(call["type"])
            if call["type"] == "SUBSCRIBE":
                return Reply(200, self.stream, {"mesos-stream-id": "s-1"})
            return Reply(202)
        if request.url.endswith("/leases/kube-scheduler"):
            return Reply(200, [json.dumps(self.lease).encode()])
        kind = "pods" if "/pods" in request.url else "nodes"
        if "watch=1" in request.url:
            return Reply(200, [Silence()])
        self.order.append(f"list {kind}")
        items = self.pods if kind == "pods" else ()
        return Reply(200, [json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode()])


class Process:
    """A daemon in `world`; `until` runs it until `step` has seen such an event; time stands still from then on."""

    def __init__(self, folder: Path, world: World, step_state: StepState = step, *more: str) -> None:
        self.clock = FakeClock()
        self.seen: list[Event] = []
        self._step = step_state
        self._heard = asyncio.Event()
        self._awaited: Callable[[Event], bool] = lambda _: False
        self.daemon = Daemon(
            settings(folder, *more),
            Surroundings(
                clock=self.clock,
                rng=Random(1),
                make_transport=world.make_transport,
                environment={},
                hostname="s1",
                step=self._watched,
                read_artifact=world.read,
            ),
        )

    def _watched(self, state: State, event: Event, now: float) -> Sequence[Effect]:
        self.seen.append(event)
        following = self._step(state, event, now)
        if self._awaited(event):
            self.clock.stop()
            self._heard.set()
        return following

    async def until(self, awaited: Callable[[Event], bool], then: Callable[[], Any] | None = None) -> None:
        self._awaited = awaited
        running = asyncio.create_task(self.daemon.run())
        hearing = asyncio.create_task(self._heard.wait())
        await asyncio.wait({running, hearing}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not running.done() and then is not None:
                await then()
        finally:
            hearing.cancel()
            running.cancel()
            (ended, _) = await asyncio.gather(running, hearing, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


def is_subscribed(event: Event) -> bool:
    return isinstance(event, Subscribed)
