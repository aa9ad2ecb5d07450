"""DataNodes that hung or went away during this run: a NameNode finds that out after minutes, we after one call.

Knows how WebHDFS is told to name another one, and that it may name the same one again: it leaves out by IP address,
and by host name or for several DataNodes of one address it cannot.  It sends nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

#: how often a NameNode is asked until it names another DataNode than the ones that are bad
MAX_ASKS = 10


def addresses_of(host: str) -> list[str]:
    """IPv4 addresses of the host, or the host as it is: NameNodes know no other form, and a colon means a port."""
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return [host]
    return sorted({str(address[0]) for *_, address in found})


def _server(url: str) -> str:
    """Host and port, "" where the NameNode has named nothing that can be asked."""
    try:
        parts = urlsplit(url)
        return parts.netloc if parts.hostname else ""
    except ValueError:
        return ""


class BadDataNodes:
    """`count`: how many calls have failed; `last`: why the last one has."""

    def __init__(self, addresses_of: Callable[[str], list[str]] = addresses_of) -> None:
        self.count, self.last = 0, ""
        self._servers: set[str] = set()
        self._addresses_of = addresses_of

    def add(self, url: str, why: str) -> None:
        """`url`: where it was asked; "": not known."""
        self.count, self.last = self.count + 1, why
        if server := _server(url):
            self._servers.add(server)

    def has(self, url: str) -> bool:
        return _server(url) in self._servers

    def __bool__(self) -> bool:
        return bool(self._servers)

    def forget(self) -> None:
        """No other is left: perhaps one of them is back."""
        self._servers.clear()

    def excluded(self) -> dict[str, str]:
        """What a call that is redirected says, so that another one is named."""
        hosts = {urlsplit(f"//{server}").hostname or "" for server in self._servers}
        found = sorted({address for host in hosts for address in self._addresses_of(host)})
        return {"excludedatanodes": ",".join(found)} if found else {}
