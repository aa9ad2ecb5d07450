"""Datagrams to systemd, on a real socket."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmsched.daemon.systemd import Notifier, environment_of_replacement


def test_each_state_is_one_datagram_in_order(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}, 7)
        notifier.ready()
        notifier.status("leader, term 12\nmore")
        notifier.alive()
        notifier.stopping()
        received = [receiver.recv(200) for _ in range(4)]
    assert received == [b"READY=1", b"STATUS=leader, term 12", b"WATCHDOG=1", b"STOPPING=1"]
    assert notifier.watchdog_s == 10.0


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0kmsched-test-notify")
        Notifier({"NOTIFY_SOCKET": "@kmsched-test-notify"}, 7).ready()
        assert receiver.recv(200) == b"READY=1"


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "abc"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}],
)
def test_no_sign_of_life_is_due_when_none_was_asked_of_this_process(environment: dict[str, str]) -> None:
    assert Notifier(environment, 7).watchdog_s == 0.0


def test_nobody_listening_is_no_failure(tmp_path: Path) -> None:
    Notifier({}, 7).ready()
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, 7)
    notifier.ready()
    assert notifier.watchdog_s == 0.0


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_without_descriptors_goes_on(tmp_path: Path) -> None:
    """The sign of life comes from the loop that schedules."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 7)

    async def hand_over() -> None:
        await asyncio.to_thread(lambda: None)
        with no_descriptors_left():
            notifier.alive()
            await notifier.hand_to(11)

    asyncio.run(hand_over())
    assert not notifier.is_main


def test_the_replacement_becomes_the_main_process_before_anything_else_is_said(tmp_path: Path) -> None:
    """systemd closes the descriptor that comes with the barrier."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, 7)
        read: list[bytes] = []

        def as_systemd() -> None:
            read.append(receiver.recv(200))
            said, descriptors, _, _ = socket.recv_fds(receiver, 200, 1)
            read.append(said)
            os.close(descriptors[0])

        async def scenario() -> None:
            reading = asyncio.create_task(asyncio.to_thread(as_systemd))
            await notifier.hand_to(11)
            await reading

        asyncio.run(scenario())
        notifier.status("silent now")
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(200)
    assert read == [b"MAINPID=11", b"BARRIER=1"]


def test_the_replacement_is_asked_for_the_signs_of_life_of_the_first_process() -> None:
    first = {"WATCHDOG_PID": "7", "WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "@none"}
    second = environment_of_replacement(first, 7)
    assert Notifier(second, 11, is_main=False).watchdog_s == 10.0
    assert Notifier(environment_of_replacement(first, 8), 11).watchdog_s == 0.0
