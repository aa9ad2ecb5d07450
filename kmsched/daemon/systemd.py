"""What systemd is told of this process: ready, how it does, that it still turns, that it ends.

Knows the notification socket and its datagrams.  It does not decide when any of that is true.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

MICROSECONDS = 1_000_000


class Notifier:
    """Sends to `NOTIFY_SOCKET`; says nothing when there is none. A datagram that cannot be sent is dropped."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        meant_for = environment.get("WATCHDOG_PID", "")
        period = environment.get("WATCHDOG_USEC", "")
        is_ours = not meant_for or meant_for == str(pid)
        #: seconds between two signs of life, 0.0 when systemd expects none
        self.watchdog_s = int(period) / MICROSECONDS / 3 if is_ours and period.isdigit() else 0.0

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, words: str) -> None:
        self._send(f"STATUS={words.splitlines()[0] if words else ''}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            try:
                sock.sendto(state.encode(), self._address)
            except OSError:
                # systemd itself judges silence, by the watchdog and by the start timeout
                return
