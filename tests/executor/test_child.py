"""The supervision of a child, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from random import Random

import pytest

from kmsched.clock import SystemClock
from kmsched.errors import ConfigRefused
from kmsched.executor.child import (
    MAX_FAILED_STARTS,
    Child,
    Command,
    Ended,
    Healthy,
    Hopeless,
    News,
    Unhealthy,
    tail,
    trim,
)
from kmsched.executor.lock import take_lock
from tests.executor.world import FastClock, until

SLEEPER = "echo start $$; exec sleep 1000"
STUBBORN = "trap '' TERM; echo start $$; while :; do sleep 0.05; done"
FAILING = "echo start $$; echo no such thing >&2; exit 3"


class Watched:
    """A child that runs `script`, and what it told."""

    def __init__(self, folder: Path, script: str, lock_fd: int) -> None:
        self.told: list[News] = []
        self.health = ""
        self.log = folder / "child.log"
        command = Command("child", ("/bin/sh", "-c", script), self.log, lock_fd)
        self.child = Child(command, clock=FastClock(), rng=Random(1), probe=self._probe, tell=self.told.append)

    async def _probe(self) -> str:
        return self.health

    def starts(self) -> int:
        return self.log.read_text().count("start") if self.log.exists() else 0

    def has_told(self, kind: type[News], times: int = 1) -> bool:
        return sum(isinstance(event, kind) for event in self.told) >= times

    def has_started(self, times: int) -> bool:
        return self.starts() == times and self.child.pid is not None


async def _is_free(folder: Path) -> bool:
    try:
        os.close(await take_lock(folder, SystemClock(), wait_s=0))
    except ConfigRefused:
        return False
    return True


class Gone:
    """A process that ends before the signal, and whose end is not seen yet."""

    returncode = None

    def __init__(self) -> None:
        self.is_waited_for = False

    def terminate(self) -> None:
        raise ProcessLookupError

    async def wait(self) -> int:
        self.is_waited_for = True
        return 0


def test_a_process_that_ends_just_before_the_signal_is_waited_for(tmp_path: Path) -> None:
    watched, gone = Watched(tmp_path, SLEEPER, 0), Gone()
    watched.child._process = gone  # type: ignore[assignment]
    asyncio.run(watched.child._end())
    assert gone.is_waited_for


def test_it_inherits_the_lock_and_gives_it_back_with_its_end(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, SLEEPER, lock_fd)
        life = asyncio.create_task(watched.child.run())
        await until(watched.starts)
        os.close(lock_fd)
        assert not await _is_free(tmp_path)
        await watched.child.stop()
        await life
        assert await _is_free(tmp_path)
        assert watched.child.pid is None

    asyncio.run(story())


def test_a_taken_lock_is_waited_for_then_refused_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        first = await take_lock(tmp_path, FastClock())
        with pytest.raises(ConfigRefused, match=rf"held for 2 s by another executor .*pid {os.getpid()}"):
            await take_lock(tmp_path, FastClock(), wait_s=2)
        waiting = asyncio.create_task(take_lock(tmp_path, FastClock()))
        await asyncio.sleep(0)
        os.close(first)
        os.close(await waiting)
        with pytest.raises(ConfigRefused, match="cannot open"):
            await take_lock(Path("/proc/none"), FastClock())

    asyncio.run(story())


def test_it_dies_with_its_supervisor_whatever_way_that_dies(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from random import Random
from kmsched.clock import SystemClock
from kmsched.executor.child import Child, Command
from kmsched.executor.lock import take_lock

async def probe():
    return ""

async def main():
    folder = Path({str(tmp_path)!r})
    lock_fd = await take_lock(folder, SystemClock())
    command = Command("child", ("/bin/sh", "-c", {SLEEPER!r}), folder / "child.log", lock_fd)
    await Child(command, clock=SystemClock(), rng=Random(), probe=probe, tell=print).run()

asyncio.run(main())
"""

    async def story() -> None:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=env)
        log = tmp_path / "child.log"
        await until(lambda: log.exists() and "start" in log.read_text())
        child = int(log.read_text().split()[1])
        assert os.getsid(child) == os.getsid(supervisor.pid)
        assert not await _is_free(tmp_path)
        supervisor.send_signal(signal.SIGKILL)
        await supervisor.wait()
        # the child holds the lock, too: it is free only when both are gone
        os.close(await take_lock(tmp_path, SystemClock(), wait_s=20))

    asyncio.run(story())


def test_it_is_started_again_when_it_ends_and_healthy_is_told_each_time(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, SLEEPER, lock_fd)
        life = asyncio.create_task(watched.child.run())
        for round_ in range(1, 4):
            await until(partial(watched.has_told, Healthy, round_))
            assert watched.child.pid is not None
            os.kill(watched.child.pid, signal.SIGKILL)
            await until(partial(watched.has_told, Ended, round_))
        assert "child ended (signal 9): start" in str(watched.told[-1])
        await watched.child.stop()
        await life
        os.close(lock_fd)

    asyncio.run(story())


def test_a_restart_has_no_pause_and_is_no_failure(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, SLEEPER, lock_fd)
        watched.health = "not yet"
        life = asyncio.create_task(watched.child.run())
        for round_ in range(1, MAX_FAILED_STARTS + 2):
            await until(partial(watched.has_started, round_))
            await watched.child.restart()
        await until(lambda: watched.starts() == MAX_FAILED_STARTS + 2)
        assert not watched.has_told(Hopeless)
        await watched.child.stop()
        await life
        os.close(lock_fd)

    asyncio.run(story())


def test_one_that_never_gets_healthy_is_refused_with_its_last_words(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, FAILING, lock_fd)
        watched.health = "not yet"
        await watched.child.run()
        assert watched.starts() == MAX_FAILED_STARTS
        last = watched.told[-1]
        assert isinstance(last, Hopeless)
        assert "never healthy; at last: child ended (exit code 3)" in last.reason
        assert last.reason.endswith("no such thing")
        os.close(lock_fd)

    asyncio.run(story())


def test_a_program_that_cannot_run_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        told: list[News] = []
        (tmp_path / "no").write_text("not a program")
        command = Command("child", (str(tmp_path / "no"),), tmp_path / "log", lock_fd)

        async def probe() -> str:
            return ""

        await Child(command, clock=FastClock(), rng=Random(1), probe=probe, tell=told.append).run()
        assert told == [Hopeless(f"cannot run {tmp_path / 'no'}: Permission denied")]
        os.close(lock_fd)

    asyncio.run(story())


def test_one_that_does_not_heed_sigterm_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, STUBBORN, lock_fd)
        life = asyncio.create_task(watched.child.run())
        await until(watched.starts)
        await watched.child.stop()
        await life
        assert watched.child.pid is None
        os.close(lock_fd)

    asyncio.run(story())


def test_a_single_miss_of_a_healthy_one_is_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        lock_fd = await take_lock(tmp_path, SystemClock())
        watched = Watched(tmp_path, SLEEPER, lock_fd)
        watched.health = "not yet"
        life = asyncio.create_task(watched.child.run())
        await until(lambda: Unhealthy("not yet") in watched.told)
        watched.health = ""
        await until(lambda: watched.has_told(Healthy))
        watched.health = "PLEG"
        await until(lambda: Unhealthy("PLEG") in watched.told)
        await watched.child.stop()
        await life
        os.close(lock_fd)

    asyncio.run(story())


def test_the_log_is_bounded_and_its_end_is_told(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    assert "cannot be read" in tail(log)
    log.write_text("a\nb\n")
    trim(log, 100)
    assert tail(log) == "a b"
    trim(log, 3)
    assert (log.read_text(), (tmp_path / "child.log.1").read_text()) == ("", "a\nb\n")
    assert tail(log) == "it said nothing"
