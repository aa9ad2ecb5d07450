"""Pid files with start times, and locks. Processes are real; foreign ones are made up in a folder like /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import processes
from testbed.errors import LabError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def write_stat(proc: Path, pid: int, start: int, name: str = "etcd", state: str = "S", threads: int = 1) -> None:
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    fields = [state, *("0" for _ in range(16)), str(threads), "0", str(start), "0", "0"]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_a_noted_process_is_found_while_its_start_time_matches(tmp_path: Path) -> None:
    write_stat(tmp_path, 7, 100)
    file = tmp_path / "etcd.pid"
    processes.note(file, 7, tmp_path)
    assert processes.noted(file, tmp_path) == processes.Noted(7, 100)
    write_stat(tmp_path, 7, 101)
    assert processes.noted(file, tmp_path) is None


@pytest.mark.parametrize("name", ["a b", "a) S 1 (b", ")", "(("])
def test_a_process_may_have_any_name(tmp_path: Path, name: str) -> None:
    write_stat(tmp_path, 7, 100, name)
    assert processes.born(7, tmp_path) == 100


def test_a_zombie_is_gone_unless_its_threads_live_on(tmp_path: Path) -> None:
    write_stat(tmp_path, 7, 100, state="Z")
    write_stat(tmp_path, 8, 100, state="Z", threads=3)
    assert processes.born(7, tmp_path) is None
    assert processes.born(8, tmp_path) == 100


@pytest.mark.parametrize("text", ["", "7", "x y", "7 100 3", "-1 100", "7 \u0661x"])
def test_a_damaged_pid_file_names_nothing(tmp_path: Path, text: str) -> None:
    write_stat(tmp_path, 7, 100)
    (tmp_path / "etcd.pid").write_text(text)
    assert processes.noted(tmp_path / "etcd.pid", tmp_path) is None


def test_a_process_that_ended_at_once_is_not_noted(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="ended at once"):
        processes.note(tmp_path / "etcd.pid", 7, tmp_path)


def test_end_ends_the_noted_process_and_never_a_foreign_one(tmp_path: Path) -> None:
    file = tmp_path / "sleep.pid"
    with subprocess.Popen(SLEEP) as own:
        file.write_text(f"{own.pid} 1\n")  # the number is right, the start time another's
        processes.end(file, signal.SIGTERM, 5)
        assert own.poll() is None
        assert not file.exists()
        processes.note(file, own.pid)
        processes.end(file, signal.SIGTERM, 5)
        assert own.wait(5) == -signal.SIGTERM
    processes.end(file, signal.SIGTERM, 5)


def test_spawned_processes_outlive_their_session_and_log_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = processes.spawn([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], log)
    os.waitpid(pid, 0)
    assert log.read_text() == "True\n"


def test_a_failing_command_is_told_with_its_last_lines() -> None:
    with pytest.raises(LabError, match=r"exit code 3\nno such device"):
        processes.output(["sh", "-c", "echo no such device >&2; exit 3"])


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(LabError, match="python3 -m testbed install"):
        processes.output(["km-no-such-program"])


def test_a_held_lock_is_refused_with_its_holder(tmp_path: Path) -> None:
    with (
        processes.locked(tmp_path / "lock", "the testbed"),
        pytest.raises(LabError, match=f"the testbed: pid {os.getpid()} has held"),
        processes.locked(tmp_path / "lock", "the testbed", wait_s=0),
    ):
        raise AssertionError("two hold it")
    with processes.locked(tmp_path / "lock", "the testbed", wait_s=0):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_process_that_sigstop_holds_is_told_from_one_that_sleeps(tmp_path: Path) -> None:
    write_stat(tmp_path, 7, 100, state="T")
    write_stat(tmp_path, 8, 100)
    assert [processes.is_stopped(pid, tmp_path) for pid in (7, 8, 9)] == [True, False, False]


def test_spawned_processes_keep_no_descriptor_of_the_caller(tmp_path: Path) -> None:
    """As when `flock FILE` calls us: the lock must not live as long as what we start."""
    log = tmp_path / "log"
    held = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(held, True)
    try:
        pid = processes.spawn([sys.executable, "-c", f"import os; os.fstat({held})"], log)
    finally:
        os.close(held)
    os.waitpid(pid, 0)
    assert "Bad file descriptor" in log.read_text()
