"""HTTP to servers of a testbed, from this process: sockets are opened on the lab's network or on a host's own.

Knows connections and JSON; nothing of what is asked. Every answer has a deadline.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from testbed import network
from testbed.settings import Settings

ANSWER_S = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class LabConnection(http.client.HTTPConnection):
    """To host:port as seen from the lab, or from inside `inside`; TLS with `context`."""

    def __init__(
        self,
        settings: Settings,
        host: str,
        port: int,
        inside: str = "",
        context: ssl.SSLContext | None = None,
        limit_s: float = ANSWER_S,
    ) -> None:
        super().__init__(host, port, timeout=limit_s)
        self._settings, self._inside, self._context = settings, inside, context

    def connect(self) -> None:
        where = (self.host, self.port)
        plain = network.inside(
            self._settings, lambda: socket.create_connection(where, timeout=self.timeout), host=self._inside
        )
        if self._context is None:
            self.sock = plain
            return
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def ask(
    settings: Settings,
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    inside: str = "",
    context: ssl.SSLContext | None = None,
    limit_s: float = ANSWER_S,
) -> Reply:
    """One request and its whole answer. Raises OSError or http.client.HTTPException."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port, url
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection = LabConnection(settings, parts.hostname, parts.port, inside, context, limit_s)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, answer.read())
    finally:
        connection.close()
