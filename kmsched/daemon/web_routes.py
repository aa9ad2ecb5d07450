"""What may be asked over HTTP, and with which right: one table of routes.

Knows paths and forms.  What is told comes from the `Views` it is given; what acts is handed to them, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from kmsched.core.tasks import PodState
from kmsched.core.views import Part
from kmsched.daemon.web_access import Right
from kmsched.errors import NotFound, Unavailable

Json = Mapping[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GET, POST = "GET", "POST"
#: rows of each table of the page at /
MAX_ON_PAGE = 50
#: of a list: what one answer holds, unless `limit` says less or more
PART, MAX_PART = 100, 1000
STATES = frozenset(state.value for state in PodState) - {PodState.GONE.value}
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
    pod: Callable[[str], Json]  # "namespace/name"; NotFound, Unavailable
    pods: Callable[[Part, frozenset[str], str], Json]  # in these states (none: in any), of this namespace ("": of all)
    decisions: Callable[[], list[dict[str, object]]]
    pending: Callable[[], Json]
    agents: Callable[[], Json]
    offers: Callable[[Part], Json]
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
        try:
            return as_json(views.pod(key))
        except NotFound as error:
            return as_json({"error": str(error)}, 404)
        except Unavailable as error:
            return as_json({"error": str(error)}, 503)

    async def pods(request: web.Request) -> web.Response:
        wanted = _part(request)
        states = frozenset(each for each in request.query.get("state", "").split(",") if each)
        if unknown := sorted(states - STATES):
            raise web.HTTPBadRequest(reason=f"state={unknown[0]!r} is none; there are {', '.join(sorted(STATES))}")
        return as_json(views.pods(wanted, states, request.query.get("namespace", "")))

    async def decisions(request: web.Request) -> web.Response:
        limit = _limit(request)
        listed = views.decisions()
        return as_json({"decisions": listed if limit is None else listed[-limit:]})

    async def pending(_: web.Request) -> web.Response:
        return as_json(views.pending())

    async def agents(_: web.Request) -> web.Response:
        return as_json(views.agents())

    async def offers(request: web.Request) -> web.Response:
        return as_json(views.offers(_part(request)))

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
        Route(GET, "/api/v1/pods", Right.READ, pods),
        Route(GET, "/api/v1/pods/{namespace}/{name}", Right.READ, pod),
        Route(GET, "/api/v1/decisions", Right.READ, decisions),
        Route(GET, "/api/v1/pending", Right.READ, pending),
        Route(GET, "/api/v1/agents", Right.READ, agents),
        Route(GET, "/api/v1/offers", Right.READ, offers),
        Route(GET, "/api/v1/executors", Right.READ, executors),
        Route(GET, "/api/v1/executors/{name}", Right.READ, executor),
    ]


def _limit(request: web.Request) -> int | None:
    """HTTPBadRequest: it is no number above 0."""
    text = request.query.get("limit")
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii() and int(text[:9]) > 0):
        raise web.HTTPBadRequest(reason=f"limit={text!r} is no number above 0; so many are told")
    return int(text[:9])


def _part(request: web.Request) -> Part:
    """HTTPBadRequest: the limit is none, or above what one answer may hold."""
    limit = _limit(request) or PART
    if limit > MAX_PART:
        raise web.HTTPBadRequest(reason=f"limit={limit} is too much; give at most {MAX_PART}, and ask on with after=")
    return Part(limit, request.query.get("after", ""))


def as_json(content: Json, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content) + b"\n", status=status, content_type="application/json")
