"""Signs of life are sent when they are due, and none by a leader whose deadline has passed."""

from __future__ import annotations

import socket
from pathlib import Path

from kmsched.core.leadership import Leadership, Role
from kmsched.daemon.systemd import Notifier
from kmsched.daemon.watchdog import Watchdog
from tests.clients.fakes import FakeClock


def test_a_leader_that_is_overdue_gives_no_sign_of_life(tmp_path: Path) -> None:
    clock = FakeClock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}, 7)
        leadership = Leadership()
        watchdog = Watchdog(notifier, lambda: leadership, clock)

        def is_told() -> bool:
            watchdog.turned()
            try:
                return systemd.recv(100) == b"WATCHDOG=1"
            except BlockingIOError:
                return False

        assert not is_told()
        clock.now_s += 10
        assert is_told() and not is_told()
        leadership = Leadership(Role.ACTIVE, 1, deadline=clock.now_s + 10)
        clock.now_s += 10
        assert not is_told()
        leadership = Leadership(Role.ACTIVE, 1, deadline=clock.now_s + 1)
        assert is_told()
