"""What systemd is told of this process: ready, how it does, that it still turns, that it ends, who comes after it.

Knows the notification socket and its datagrams.  It does not decide when any of that is true.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from array import array
from collections.abc import Mapping, Sequence

MICROSECONDS = 1_000_000
#: how long systemd may take to read what was sent before
BARRIER_S = 5.0


class Notifier:
    """Sends to `NOTIFY_SOCKET`; says nothing when there is none. A datagram that cannot be sent is dropped.

    `is_main`: systemd watches this process. The replacement of another process is silent until `is_main` is set, and
    the signs of life that were asked of the other one are then asked of it.
    """

    def __init__(self, environment: Mapping[str, str], pid: int, *, is_main: bool = True) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        meant_for = environment.get("WATCHDOG_PID", "")
        period = environment.get("WATCHDOG_USEC", "")
        is_ours = not meant_for or meant_for == str(pid)
        #: seconds between two signs of life, 0.0 when systemd expects none
        self.watchdog_s = int(period) / MICROSECONDS / 3 if is_ours and period.isdigit() else 0.0
        self.is_main = is_main

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, words: str) -> None:
        self._send(f"STATUS={words.splitlines()[0] if words else ''}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    async def hand_to(self, pid: int) -> None:
        """Have systemd watch that process instead; returns when it has read so, as only the main process is heard.

        A process that can no longer ask for that does not wait: if it ends too early, systemd starts the unit anew.
        """
        self._send(f"MAINPID={pid}")
        try:
            # no descriptors, no threads
            with contextlib.suppress(OSError, RuntimeError):
                await asyncio.to_thread(self._barrier)
        finally:
            self.is_main = False

    def _barrier(self) -> None:
        """systemd closes the descriptor when it has read all that came before."""
        reading, writing = os.pipe()
        try:
            try:
                self._send("BARRIER=1", [writing])
            finally:
                os.close(writing)
            poll = select.poll()
            poll.register(reading, select.POLLHUP)
            poll.poll(BARRIER_S * 1000)
        finally:
            os.close(reading)

    def _send(self, state: str, descriptors: Sequence[int] = ()) -> None:
        if not self._address or not self.is_main:
            return
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            with socket.socket(socket.AF_UNIX, kind) as sock:
                sock.sendmsg([state.encode()], [rights] if descriptors else [], 0, self._address)
        except OSError:
            # systemd itself judges silence, by the watchdog and by the start timeout
            return


def environment_of_replacement(environment: Mapping[str, str], pid: int) -> dict[str, str]:
    """`environment` for a process that follows this one, whose pid is `pid`, as the one that systemd watches."""
    is_ours = environment.get("WATCHDOG_PID") == str(pid)
    return {name: value for name, value in environment.items() if name != "WATCHDOG_PID" or not is_ours}
