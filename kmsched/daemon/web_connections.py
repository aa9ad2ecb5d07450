"""Who may connect to the HTTP server: not more than so many, from one address and in all, and nobody who is silent.

Knows connections and where they come from, not what is asked.  Whoever reaches the port, without any token, cannot use
up the descriptors that the scheduler needs for etcd, Mesos and Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiohttp import http_exceptions, web

log = logging.getLogger(__name__)

MAX_CONNECTIONS, MAX_OF_ONE = 512, 128
#: for the handshake of TLS, for a request to arrive, and between two
IDLE_S = 10.0


class Door:
    """What a listening socket asks for the protocol of each new connection; those that may go to `server`."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._is_shut = False

    def __call__(self) -> asyncio.Protocol:
        return _Guest(self)

    def opened(self, transport: asyncio.BaseTransport) -> None:
        address = _address(transport.get_extra_info("peername"))
        words = refusal(address, [_address(each.peername) for each in self._server.connections])
        if words and not self._is_shut:
            log.warning("%s; more are ended", words)
        self._is_shut = bool(words)
        assert isinstance(transport, asyncio.Transport)
        if words:
            transport.abort()
            return
        following = self._server()
        transport.set_protocol(following)
        following.connection_made(transport)


class _Guest(asyncio.Protocol):
    """Nobody knows yet where it comes from."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.opened(transport)


def refusal(address: str, others: Sequence[str]) -> str:
    """Why a connection from there may not be; "": it may. `others`: where those that there are come from."""
    if len(others) >= MAX_CONNECTIONS:
        return f"{len(others)} connections are open already"
    of_one = others.count(address)
    return f"{of_one} connections from {address} are open already" if of_one >= MAX_OF_ONE else ""


def _address(peername: Any) -> str:
    return str(peername[0]) if isinstance(peername, tuple) else ""


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what somebody sends that is no HTTP: it is answered with 400, and anybody can send it all day."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


#: of the server, about requests that went wrong
REQUESTS = logging.getLogger(f"{__name__}.requests")
REQUESTS.addFilter(_is_ours)
