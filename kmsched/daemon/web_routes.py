"""What may be asked over HTTP, and with which right: one table of routes.

Knows paths and forms.  What is told comes from the `Views` it is given; what acts is handed to them, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from kmsched.daemon.web_access import Right

Json = Mapping[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GET, POST = "GET", "POST"
#: rows of each table of the page at /
MAX_ON_PAGE = 50
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Route:
    """`handler` is called for requests that have `right`."""

    method: str
    path: str
    right: Right
    handler: Handler


@dataclass(frozen=True, slots=True)
class Views:
    """What may be asked; each answers at once and from memory."""

    is_alive: Callable[[], bool]
    readiness: Callable[[], Json]  # holds "ready": bool
    metrics: Callable[[], bytes]
    status: Callable[[], Json]
    pod: Callable[[str], Json | None]  # "namespace/name"
    decisions: Callable[[], list[dict[str, object]]]
    pending: Callable[[], Json]
    agents: Callable[[], Json]
    executors: Callable[[], Json]
    executor: Callable[[str], Sequence[Json]]  # specs by the first digits of their SHA-256, or of an executor id
    leader: Callable[[], Json]  # what /leader tells


def routes(views: Views) -> list[Route]:
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

    async def decisions(request: web.Request) -> web.Response:
        wanted = request.query.get("limit")
        if wanted is not None and not (wanted.isdecimal() and int(wanted[:9]) > 0):
            return as_json({"error": f"limit={wanted!r} is no number above 0; the newest so many are told"}, 400)
        listed = views.decisions()
        return as_json({"decisions": listed if wanted is None else listed[-int(wanted[:9]) :]})

    async def pending(_: web.Request) -> web.Response:
        return as_json(views.pending())

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

    return [
        Route(GET, "/healthz", Right.OPEN, healthz),
        Route(GET, "/readyz", Right.OPEN, readyz),
        Route(GET, "/metrics", Right.READ, metrics),
        Route(GET, "/api/v1/status", Right.READ, status),
        Route(GET, "/api/v1/pods/{namespace}/{name}", Right.READ, pod),
        Route(GET, "/api/v1/decisions", Right.READ, decisions),
        Route(GET, "/api/v1/pending", Right.READ, pending),
        Route(GET, "/api/v1/agents", Right.READ, agents),
        Route(GET, "/api/v1/executors", Right.READ, executors),
        Route(GET, "/api/v1/executors/{name}", Right.READ, executor),
    ]


def as_json(content: Json, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content) + b"\n", status=status, content_type="application/json")
