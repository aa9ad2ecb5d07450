"""What schedulers of one group tell each other over HTTP: who leads, and a connection that ends when the process does.

Knows the two routes, which are open to peers and change nothing.  A connection that is meant to end says goodbye first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from kmsched.daemon.deadman import GOODBYE, PATH, WHO_PATH
from kmsched.daemon.web_access import Right
from kmsched.daemon.web_routes import GET, Route, as_json
from kmsched.wire import members as records
from kmsched.wire.members import Hello

#: peers, and whoever is curious, who shall not keep peers out
MAX_CONNECTIONS, MAX_OF_ONE = 64, 8


def leader_route(who: Callable[[], Mapping[str, Any]], is_leader: Callable[[], bool]) -> Route:
    """`who`: everything that /leader tells, on the leader with 200 and elsewhere with 503."""

    async def leader(_: web.Request) -> web.Response:
        answer = as_json(who(), 200 if is_leader() else 503)
        answer.force_close()
        return answer

    return Route(GET, WHO_PATH, Right.OPEN, leader)


def deadman_route(hello: Callable[[], Hello], ending: asyncio.Event) -> Route:
    """`ending` is set when this process ends on purpose.

    The server must cancel handlers whose peer has gone, or their connections count for ever.
    """
    #: where the connections come from
    opened: list[str | None] = []

    async def deadman(request: web.Request) -> web.StreamResponse:
        peer = request.remote
        if len(opened) >= MAX_CONNECTIONS or opened.count(peer) >= MAX_OF_ONE:
            words = f"{len(opened)} connections are open already, {opened.count(peer)} of them from there\n"
            return web.Response(status=503, text=words)
        reply = web.StreamResponse(headers={"content-type": "application/x-ndjson", "cache-control": "no-store"})
        # the next question goes to whoever listens then
        reply.force_close()
        opened.append(peer)
        try:
            await reply.prepare(request)
            await reply.write(records.encode(hello()) + b"\n")
            await ending.wait()
            # a peer that has just gone needs no goodbye
            with contextlib.suppress(ConnectionError):
                await reply.write(GOODBYE + b"\n")
                await reply.write_eof()
        finally:
            opened.remove(peer)
        return reply

    return Route(GET, PATH, Right.OPEN, deadman)
