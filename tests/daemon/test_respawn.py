"""Real processes as replacements: what they inherit, how they are started, and how they are ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kmsched.daemon import respawn
from kmsched.daemon.respawn_channel import Channel, Ended, Word
from kmsched.daemon.respawn_child import VARIABLE, inherited, tell_failure
from kmsched.errors import ConfigRefused, NotHandedOver, ProtocolError
from tests.clients.fakes import FakeClock
from tests.daemon.test_systemd import no_descriptors_left

#: it finds its descriptors, and says on the connection what the test wants to know
CHILD = f"""
import json, os, re, signal, socket, sys, time
channel, listening, lock = map(int, re.findall(r"[0-9]+", os.environ[{VARIABLE!r}]))
connection = socket.socket(fileno=channel)
def say(**word): connection.sendall(json.dumps({{"schema": 1, **word}}).encode() + b"\\n")
"""


def with_child(tmp_path: Path, script: str, story: Callable[[respawn.Program], Awaitable[None]]) -> None:
    async def main() -> None:
        lock_fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        try:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                command = [sys.executable, "-S", "-c", CHILD + script]
                child = await respawn.start(command, {"PATH": "/bin"}, listening, lock_fd, FakeClock())
                try:
                    await story(child)
                finally:
                    await child.end()
        finally:
            os.close(lock_fd)

    asyncio.run(main())


def test_it_inherits_connection_socket_and_lock_and_is_deaf_to_signals_that_would_end_it(tmp_path: Path) -> None:
    async def story(child: respawn.Program) -> None:
        word = await child.receive()
        assert word.said == "ready"
        port, lock, blocked = word.reason.split()
        assert int(port) > 0
        assert lock == str((tmp_path / "lock").stat().st_ino)
        assert blocked == f"{int(signal.SIGHUP)},{int(signal.SIGUSR1)}"
        await child.send(Word("lead"))
        assert (await child.receive()).said == "leading"
        with pytest.raises(Ended):
            await child.receive()
        await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert await child.end() == "ended with exit code 3"

    with_child(
        tmp_path,
        """
port = socket.socket(fileno=listening).getsockname()[1]
blocked = ",".join(str(int(each)) for each in sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
say(said="ready", reason=f"{port} {os.fstat(lock).st_ino} {blocked}")
assert b"lead" in connection.recv(1000)
say(said="leading", term=4)
connection.close()
sys.exit(3)
""",
        story,
    )


def test_one_that_hears_no_sigterm_is_killed(tmp_path: Path) -> None:
    async def story(child: respawn.Program) -> None:
        assert (await child.receive()).said == "ready"
        assert await child.end() == "was ended by SIGKILL"

    with_child(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(said='ready')\ntime.sleep(60)\n", story)


def test_one_that_is_ended_in_a_hurry_is_killed(tmp_path: Path) -> None:
    """Its parent was told twice to end. What it leaves alive would lead."""

    async def story(child: respawn.Program) -> None:
        assert (await child.receive()).said == "ready"
        ending = asyncio.create_task(child.end())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert await child.end() == "was ended by SIGKILL"

    with_child(tmp_path, "say(said='ready')\ntime.sleep(60)\n", story)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("connection.sendall(b'km: hello' + bytes([10]))", "which is no word of a handover"),
        ("connection.sendall(b'x' * 100_000)", "more than 16384 bytes in one line"),
        ("say(said='ready', schema=2)", "it speaks schema 2"),
    ],
)
def test_rubbish_is_called_that(tmp_path: Path, script: str, words: str) -> None:
    async def story(child: respawn.Program) -> None:
        with pytest.raises(ProtocolError, match=words):
            await child.receive()

    with_child(tmp_path, script.replace("schema=2", "**{'schema': 2}") + "\nconnection.recv(1)\n", story)


def test_a_program_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    async def main() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            pytest.raises(NotHandedOver, match=r"cannot be started: .*No such file"),
        ):
            await respawn.start([f"{tmp_path}/km"], {}, listening, listening.fileno(), FakeClock())

    asyncio.run(main())


def test_a_process_without_descriptors_leads_on(tmp_path: Path) -> None:
    async def main() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            pytest.raises(NotHandedOver, match=r"cannot be started: .*Too many open files"),
            no_descriptors_left(),
        ):
            await respawn.start([sys.executable], {}, listening, listening.fileno(), FakeClock())

    asyncio.run(main())


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


def test_one_that_is_given_up_while_it_is_started_does_not_go_on_alone() -> None:
    """It would take the end of the connection for the death of its parent, and lead."""

    async def main() -> None:
        before = children()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            command = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
            starting = asyncio.create_task(respawn.start(command, {}, listening, listening.fileno(), FakeClock()))
            await asyncio.sleep(0)
            assert len(children() - before) == 1
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
        assert children() == before

    asyncio.run(main())


def talk(story: Callable[[Channel, Channel], Awaitable[None]]) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with contextlib.closing(Channel(one)) as ours, contextlib.closing(Channel(other)) as theirs:
            await ours.open()
            await theirs.open()
            await story(ours, theirs)

    asyncio.run(main())


def test_half_a_word_is_the_end_of_who_said_it() -> None:
    """The replacement of a process that died while it spoke leads; it would end if it took this for rubbish."""

    async def story(ours: Channel, theirs: Channel) -> None:
        assert ours._writer is not None
        ours._writer.write(b'{"said":"lead"')
        ours.close()
        with pytest.raises(Ended):
            await theirs.receive()

    talk(story)


def test_a_reason_is_told_however_long_it_is() -> None:
    async def story(ours: Channel, theirs: Channel) -> None:
        await tell_failure(ours, ConfigRefused("--km-path: \n" + '"' * 100_000))
        word = await theirs.receive()
        assert (word.said, word.reason[:9]) == ("failed", "--km-path")

    talk(story)


def test_what_is_inherited_is_read_once() -> None:
    environment = {VARIABLE: "channel=5,listening=6,lock=7", "PATH": "/bin"}
    found = inherited(environment)
    assert found is not None
    assert found.descriptors() == (5, 6, 7)
    assert environment == {"PATH": "/bin"}
    assert inherited(environment) is None
    with pytest.raises(ProtocolError, match="unset it"):
        inherited({VARIABLE: "yes"})


def test_words_survive_the_way() -> None:
    async def story(ours: Channel, theirs: Channel) -> None:
        await ours.send(Word("ready", fingerprint="f", version="1"))
        assert await theirs.receive() == Word("ready", fingerprint="f", version="1")

    talk(story)
