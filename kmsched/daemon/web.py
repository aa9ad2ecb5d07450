"""What the process tells over HTTP: alive, ready, metrics, and what the core holds and decided. Only GET.

Knows paths and forms.  What is told comes from the `Views` it is given; it changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from kmsched.daemon.profiling import open_pages
from kmsched.errors import ConfigRefused

Json = Mapping[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BACKLOG = 128
SHUTDOWN_S = 1.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Views:
    """What may be asked; each answers at once and from memory."""

    is_alive: Callable[[], bool]
    readiness: Callable[[], Json]  # holds "ready": bool
    metrics: Callable[[], bytes]
    status: Callable[[], Json]
    pod: Callable[[str], Json | None]  # "namespace/name"
    decisions: Callable[[], list[dict[str, object]]]
    agents: Callable[[], Json]
    executors: Callable[[], Json]
    executor: Callable[[str], Sequence[Json]]  # specs by the first digits of their SHA-256, or of an executor id


class Web:
    """A server on `address`:`port`; port 0 takes any free one. `profiling` opens `daemon.profiling`'s pages, too."""

    def __init__(
        self,
        views: Views,
        address: str,
        port: int,
        *,
        profiling: bool = False,
        peers: Sequence[web.AbstractRouteDef] = (),
    ) -> None:
        app = application(views)
        app.add_routes(peers)
        if profiling:
            open_pages(app)
        # peers hold connections open: their handlers end when they go
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        self._address = address
        self._port = port
        self.url = ""

    async def start(self) -> None:
        """Listen. ConfigRefused names address and port that cannot be had."""
        where = f"{self._address}:{self._port}"
        try:
            listening = listen(self._address, self._port)
        except OSError as error:
            raise ConfigRefused(
                f"--address={self._address} --port={self._port}: cannot listen on {where}: {error.strerror or error};"
                " end what listens there, or give another --address or --port"
            ) from error
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=BACKLOG).start()
        host, port = listening.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        await self._runner.cleanup()


def listen(address: str, port: int) -> socket.socket:
    """A bound socket. OSError."""
    family, kind, protocol, _, where = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def application(views: Views) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        alive = views.is_alive()
        return web.Response(text="ok\n" if alive else "the loop does not turn\n", status=200 if alive else 503)

    async def readyz(_: web.Request) -> web.Response:
        readiness = views.readiness()
        return as_json(readiness, 200 if readiness["ready"] else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=views.metrics(), headers={"content-type": METRICS_TYPE})

    async def status(_: web.Request) -> web.Response:
        return as_json(views.status())

    async def pod(request: web.Request) -> web.Response:
        key = f"{request.match_info['namespace']}/{request.match_info['name']}"
        explained = views.pod(key)
        if explained is None:
            return as_json({"error": f"no pod {key} is known; see kubectl get pods --all-namespaces"}, 404)
        return as_json(explained)

    async def decisions(_: web.Request) -> web.Response:
        return as_json({"decisions": views.decisions()})

    async def agents(_: web.Request) -> web.Response:
        return as_json(views.agents())

    async def executors(_: web.Request) -> web.Response:
        return as_json(views.executors())

    async def executor(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = views.executor(name)
        if len(found) == 1:
            return as_json(found[0])
        if not found:
            return as_json({"error": f"no executor spec {name} is known; /api/v1/executors lists those that are"}, 404)
        named = ", ".join(str(each["fingerprint"]) for each in found)
        return as_json({"error": f"{name} is the beginning of {len(found)} executor specs: {named}"}, 409)

    app = web.Application(middlewares=[_refusals_as_json])
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/api/v1/status", status),
            web.get("/api/v1/pods/{namespace}/{name}", pod),
            web.get("/api/v1/decisions", decisions),
            web.get("/api/v1/agents", agents),
            web.get("/api/v1/executors", executors),
            web.get("/api/v1/executors/{name}", executor),
        ]
    )
    return app


def as_json(content: Json, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content) + b"\n", status=status, content_type="application/json")


@web.middleware
async def _refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        answer = as_json({"error": f"{request.method} {request.path}: {refusal.reason}"}, refusal.status)
        if "Allow" in refusal.headers:
            answer.headers["Allow"] = refusal.headers["Allow"]
        return answer
