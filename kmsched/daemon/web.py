"""The HTTP server of a scheduler process: its socket, TLS, and the right that each route needs.

Knows connections and refusals, which are JSON.  What the routes tell is in `web_routes` and `web_peers`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from aiohttp import web

from kmsched.daemon import profiling as debugging
from kmsched.daemon.web_access import Access, Right
from kmsched.daemon.web_connections import IDLE_S, REQUESTS, Door
from kmsched.daemon.web_routes import GET, Handler, Route, as_json
from kmsched.errors import ConfigRefused

log = logging.getLogger(__name__)

BACKLOG = 128
SHUTDOWN_S = 1.0
MAX_BODY_BYTES = 64 * 1024
BAD_REQUEST = 400


class Web:
    """A server on `address`:`port`; port 0 takes any free one. `profiling` opens `daemon.profiling`'s pages, too.

    `listening`: a socket that another process has made.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        address: str,
        port: int,
        *,
        access: Access | None = None,
        profiling: bool = False,
        listening: socket.socket | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self.access = access or Access()
        served = [*routes, *(debugging.routes() if profiling else [])]
        app = application(served, self.access, is_private=is_loopback(address))
        if profiling:
            app.cleanup_ctx.append(debugging.traced)
        # peers hold connections open: their handlers end when they go
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=REQUESTS,
            shutdown_timeout=SHUTDOWN_S,
            handler_cancellation=True,
            keepalive_timeout=idle_s,
        )
        self._address = address
        self._port = port
        self._listening = listening
        self._accepting: asyncio.Server | None = None
        self._idle_s = idle_s
        self.url = ""

    async def start(self) -> None:
        """Listen. ConfigRefused names address and port that cannot be had."""
        where = f"{self._address}:{self._port}"
        try:
            self._listening = self._inherited() or listen(self._address, self._port)
        except OSError as error:
            raise ConfigRefused(
                f"--address={self._address} --port={self._port}: cannot listen on {where}: {error.strerror or error};"
                " end what listens there, or give another --address or --port"
            ) from error
        await self._runner.setup()
        await self.resume()
        host, port = self._listening.getsockname()[:2]
        scheme = self.access.settings.scheme
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def pause(self) -> None:
        """Accept no more connections; they wait for `resume`, or for a process that has the same socket."""
        accepting, self._accepting = self._accepting, None
        if accepting is not None:
            accepting.close()

    async def resume(self) -> None:
        assert self._runner.server is not None, "start comes first"
        tls = self.access.tls
        self._accepting = await asyncio.get_running_loop().create_server(
            Door(self._runner.server),
            # what accepts closes the socket that it is given
            sock=self.listening.dup(),
            backlog=BACKLOG,
            ssl=tls,
            # nobody has come to the door before
            ssl_handshake_timeout=None if tls is None else self._idle_s,
        )

    async def stop(self) -> None:
        await self.pause()
        await self._runner.cleanup()
        if self._listening is not None:
            self._listening.close()

    @property
    def listening(self) -> socket.socket:
        assert self._listening is not None, "start comes first"
        return self._listening

    def _inherited(self) -> socket.socket | None:
        """The socket that was given, if it is where this process shall listen; else it is closed."""
        given = self._listening
        if given is None or is_bound_to(given, self._address, self._port):
            return given
        log.warning("the inherited socket is not at %s:%d; listening there anew", self._address, self._port)
        given.close()
        return None


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


def is_bound_to(sock: socket.socket, address: str, port: int) -> bool:
    """OSError: there is no such address."""
    (_, _, _, _, where), *_ = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound = sock.getsockname()
    return bound[0] == where[0] and port in (0, bound[1])


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def application(routes: Sequence[Route], access: Access, *, is_private: bool = False) -> web.Application:
    """`is_private`: only this machine reaches it."""
    app = web.Application(middlewares=[_refusals_as_json], client_max_size=MAX_BODY_BYTES)
    turns = asyncio.Lock()
    for route in routes:
        answer = _in_turn(route.handler, turns) if route.right is Right.READ else route.handler
        handler = _guarded(dataclasses.replace(route, handler=answer), access, is_private)
        # aiohttp answers HEAD where it answers GET, and 405 to every other method of a path
        app.router.add_get(route.path, handler) if route.method == GET else app.router.add_post(route.path, handler)
    return app


def _in_turn(handler: Handler, turns: asyncio.Lock) -> Handler:
    """One page after the other, and after each as much time for everything else as it took: however many are asked for,
    a leader renews its lease.
    """

    async def in_turn(request: web.Request) -> web.StreamResponse:
        await turns.acquire()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await handler(request)
        finally:
            loop.call_later(loop.time() - began, turns.release)

    return in_turn


def _guarded(route: Route, access: Access, is_private: bool) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        host = request.headers.get("Host") if is_private else None
        refusal = access.refusal(route.right, request.headers.get("Authorization"), host)
        if refusal is None:
            return await route.handler(request)
        answer = as_json({"error": f"{request.method} {request.path}: {refusal.words}"}, refusal.status)
        for challenge in refusal.challenges:
            answer.headers.add("WWW-Authenticate", challenge)
        return answer

    return guarded


@web.middleware
async def _refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.RequestPayloadError as error:
        return as_json({"error": f"{request.method} {request.path}: the body cannot be read: {error}"}, BAD_REQUEST)
    except web.HTTPException as refusal:
        answer = as_json({"error": f"{request.method} {request.path}: {refusal.reason}"}, refusal.status)
        if "Allow" in refusal.headers:
            answer.headers["Allow"] = refusal.headers["Allow"]
        return answer
