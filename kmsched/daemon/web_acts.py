"""What may be done over HTTP: give the lead away.

Knows the request's form and how refusals are told; the handing over itself is given to it.  One at a time, and one that
has begun goes on when whoever asked for it has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from kmsched.daemon.web_access import Right
from kmsched.daemon.web_routes import POST, Json, Route, as_json
from kmsched.errors import NotHandedOver

RESIGN = "/api/v1/resign"
BAD_REQUEST, CONFLICT = 400, 409

#: reason, to whom -> who leads next, in words; NotHandedOver
HandOver = Callable[[str, str | None], Awaitable[str]]


class _Resign(msgspec.Struct, forbid_unknown_fields=True):
    to: str | None = None


_request = msgspec.json.Decoder(_Resign)


@dataclass(frozen=True, slots=True)
class Acts:
    """`who`: what /leader tells."""

    hand_over: HandOver
    is_leading: Callable[[], bool]
    who: Callable[[], Json]


def routes(acts: Acts) -> list[Route]:
    under_way: set[asyncio.Task[str]] = set()

    async def resign(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            to = _request.decode(body).to if body.strip() else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            words = f'{error}; write {{}} for any standby, or {{"to": "INSTANCE"}}'
            return as_json({"error": f"POST {RESIGN}: {words}"}, BAD_REQUEST)
        if not acts.is_leading():
            return as_json(_elsewhere(acts.who()), CONFLICT)
        if under_way:
            return as_json({"error": "the lead is being handed over already"}, CONFLICT)
        task = asyncio.ensure_future(acts.hand_over(f"POST {RESIGN} from {request.remote}", to))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        try:
            following = await asyncio.shield(task)
        except NotHandedOver as error:
            return as_json({"error": str(error)}, CONFLICT)
        return as_json({"leads_next": following})

    return [Route(POST, RESIGN, Right.ACT, resign)]


def _elsewhere(told: Json) -> dict[str, Any]:
    """To whom the question should have been put."""
    leader = told.get("leader")
    if not leader:
        return {
            "error": f"this scheduler does not lead ({told.get('role')}), and nobody else is known to",
            "leader": None,
        }
    named = {"instance": leader["instance"], "url": leader["url"]}
    return {
        "error": f"this scheduler does not lead ({told.get('role')}); {named['instance']} does, at {named['url']}",
        "leader": named,
    }
