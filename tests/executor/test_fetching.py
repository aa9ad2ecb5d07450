"""Fetching beside the event loop: tries, words, and an end that does not wait for a silent server."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from kmsched.errors import (
    ArtifactError,
    ConfigRefused,
    KmError,
    NoPermission,
    NoSpace,
    StorageUnreachable,
    VerificationFailed,
)
from kmsched.executor.fetching import ATTEMPTS, Fetching
from kmsched.executor.programs import Programs
from tests.executor.world import FastClock, until

CONTENT = b"program"
URI = f"hdfs://ns1/kubelet#sha256={hashlib.sha256(CONTENT).hexdigest()}"


class HurriedClock(FastClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 500)


class Server:
    """Answers with `answers`, one after the other, and keeps the last; words that were told are in `told`."""

    def __init__(self, folder: Path, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.told: list[str] = []
        self.fetching = Fetching(Programs(folder / "artifacts", self.read), folder, HurriedClock(), Random(1))

    def read(self, uri: str) -> Iterator[bytes]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        yield answer

    def obtain(self, uri: str = URI) -> Path:
        return asyncio.run(self.fetching.obtain("kubelet", uri, self.told.append))


@pytest.mark.parametrize("error", [StorageUnreachable("no answer"), NoSpace("disk full")])
def test_what_may_pass_is_tried_again_and_told_meanwhile(tmp_path: Path, error: KmError) -> None:
    server = Server(tmp_path, error, CONTENT)
    assert server.obtain().read_bytes() == CONTENT
    assert f"kubelet cannot be fetched (attempt 1 of {ATTEMPTS}): {error}" in server.told
    assert "kubelet is being fetched: hdfs://ns1/kubelet" in server.told[0]


def test_but_not_for_ever(tmp_path: Path) -> None:
    server = Server(tmp_path, StorageUnreachable("no answer"))
    with pytest.raises(StorageUnreachable, match="no answer"):
        server.obtain()
    assert server.asked == ATTEMPTS


@pytest.mark.parametrize("answer", [b"another", NoPermission("not you")])
def test_what_will_not_pass_is_not_tried_again(tmp_path: Path, answer: bytes | KmError) -> None:
    server = Server(tmp_path, answer)
    with pytest.raises((VerificationFailed, NoPermission)):
        server.obtain()
    assert server.asked == 1


def test_whatever_an_answer_does_to_us_is_no_end_of_the_executor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path, RecursionError("too deep"))
    with pytest.raises(ArtifactError, match=r"kubelet: hdfs://ns1/kubelet.* RecursionError: too deep; look at"):
        server.obtain()
    assert server.asked == 1
    assert "is not understood" in caplog.text


def test_a_server_that_keeps_silent_does_not_hold_up_the_loop_nor_its_end(tmp_path: Path) -> None:
    silence = threading.Event()
    server = Server(tmp_path, b"")

    def read(uri: str) -> Iterator[bytes]:
        yield CONTENT[:3]
        server.asked += 1
        silence.wait(60)

    fetching = Fetching(Programs(tmp_path / "artifacts", read), tmp_path, FastClock(), Random(1))

    async def story() -> None:
        job = asyncio.create_task(fetching.obtain("kubelet", URI, server.told.append))
        await until(lambda: server.asked and len(server.told) >= 2)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        assert job.cancelled()

    asyncio.run(story())
    assert not silence.is_set()
    silence.set()


def test_without_a_digest_it_is_a_file_on_the_agent_or_in_the_sandbox(tmp_path: Path) -> None:
    server = Server(tmp_path, CONTENT)
    program = tmp_path / "kubelet"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(ConfigRefused, match="there is no program at"):
        server.obtain(str(program))
    program.chmod(0o755)
    assert server.obtain(str(program)) == program
    assert server.obtain(f"file://{program}") == program
    assert server.obtain("http://files:80/x/kubelet") == program
    with pytest.raises(ConfigRefused, match=r"--kubelet-path: there is no program at .*/none"):
        server.obtain(str(tmp_path / "none"))
    with pytest.raises(ConfigRefused, match=r"--kubelet-path: .*which is no digest"):
        server.obtain("http://h/kubelet#sha256=1")
    assert server.asked == 0
