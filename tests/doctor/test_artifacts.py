"""Files that agents need: seen from here, and where only agents can see them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmsched.doctor import artifacts
from kmsched.doctor.findings import Found, NotChecked, Severity
from kmsched.doctor.subject import Subject
from tests.clients.fakes import Reply
from tests.doctor.patients import KM, KM_URI, PEER, SHA256, World, found, said


def test_a_file_of_this_host_that_other_agents_need(tmp_path: Path) -> None:
    file = tmp_path / "km"
    file.write_bytes(KM)
    world = World(tmp_path)
    assert said(artifacts.only_here, world.subject(f"--km-path={file}")) == [
        f"--km-path=file://{file} is a file of this host, and 1 agents on other hosts (h1) need it at the same path"
    ]
    world.local = frozenset({"10.0.0.1"})
    assert said(artifacts.only_here, world.subject(f"--km-path={file}")) == []


def test_a_file_of_the_agents_is_theirs_to_check(tmp_path: Path) -> None:
    [only] = found(artifacts.only_here, World(tmp_path).subject("--km-path=/agents/km"))
    assert only.severity is Severity.NOTE
    assert only.message.startswith("not checked: --km-path=file:///agents/km is not on this host")


def test_without_mesos_nobody_knows_whose_a_file_is(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_AGENTS": Reply(503, [b"away"])})
    [words] = said(artifacts.only_here, world.subject("--km-path=/agents/km"))
    assert words == "not checked: whether agents on other hosts have file:///agents/km: m1:5050 answered 503: away"


@pytest.mark.parametrize(("peers", "severity"), [((), Severity.NOTE), (PEER, Severity.WARNING)])
def test_a_uri_without_a_digest(tmp_path: Path, peers: tuple[str, ...], severity: Severity) -> None:
    subject = World(tmp_path).subject("--km-path=hdfs://nn/km", *peers)
    [only] = found(artifacts.mutable, subject)
    assert (only.severity, only.message) == (
        severity,
        "--km-path=hdfs://nn/km names no SHA-256, and its content may change",
    )


def test_a_uri_that_cannot_be_read(tmp_path: Path) -> None:
    uri = f"hdfs://nn:8020/gone/{SHA256}/km"
    assert said(artifacts.readable, World(tmp_path).subject(f"--km-path={uri}")) == [
        f"--km-path={uri} cannot be read: {uri}: there is no such file in HDFS at nn:8020"
    ]
    assert said(artifacts.digest, World(tmp_path).subject(f"--km-path={uri}")) == []


def test_the_beginning_is_enough_at_the_start(tmp_path: Path) -> None:
    gone = f"hdfs://nn:8020/gone/{SHA256}/km"
    assert said(artifacts.beginning, World(tmp_path).subject(f"--km-path={gone}")) == [
        f"--km-path={gone} cannot be read: {gone}: there is no such file in HDFS at nn:8020"
    ]
    pieces: list[bytes] = []

    def endless(uri: str) -> Iterator[bytes]:
        while True:
            pieces.append(b"k")
            yield b"k"

    subject = World(tmp_path).subject()
    subject.here = replace(subject.here, read=endless)
    assert said(artifacts.beginning, subject) == []
    assert len(pieces) == len(subject.artifacts())


def test_a_path_that_this_user_cannot_see_is_no_defect(tmp_path: Path) -> None:
    path = f"/{'x' * 300}/km"
    subject = World(tmp_path).subject(f"--km-path={path}#sha256={SHA256}")
    words = f"{path} cannot be seen by this user: File name too long; run the doctor as the scheduler's user"
    assert said(artifacts.readable, subject) == [f"not checked: {words}"]
    assert said(artifacts.digest, subject) == []
    with pytest.raises(NotChecked, match="cannot be seen by this user"):
        said(artifacts.only_here, subject)


def test_a_read_that_never_ends_holds_nobody(tmp_path: Path) -> None:
    """asyncio waits at its end for the threads of its own."""
    is_asked, goes_on, has_ended = threading.Event(), threading.Event(), threading.Event()

    def silent(uri: str) -> Iterator[bytes]:
        is_asked.set()
        goes_on.wait(10)
        has_ended.set()
        yield b""

    async def given_up() -> None:
        reading = asyncio.create_task(subject.digests[KM_URI].answer())
        await asyncio.to_thread(is_asked.wait)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading

    subject = World(tmp_path).subject()
    subject.here = replace(subject.here, read=silent)
    asyncio.run(given_up())
    assert not has_ended.is_set()
    goes_on.set()


def test_another_content_than_the_uri_says(tmp_path: Path) -> None:
    world = World(tmp_path, files={KM_URI: b"something else"})
    actual = hashlib.sha256(b"something else").hexdigest()
    assert said(artifacts.digest, world.subject()) == [
        f"--km-path: what lies at {KM_URI} has SHA-256 {actual}, its URI says {SHA256}"
    ]
    assert said(artifacts.readable, world.subject()) == []


def test_a_content_that_has_changed_since_it_was_first_read(tmp_path: Path) -> None:
    old = "0" * 64
    (tmp_path / "artifacts").write_text(
        '{"schema":1,"revision":1,"value":"{\\"schema\\":1,\\"digests\\":{\\"hdfs://nn/km\\":\\"' + old + '\\"}}"}'
    )
    world = World(tmp_path, files={"hdfs://nn/km": KM})
    assert said(artifacts.digest, world.subject("--km-path=hdfs://nn/km")) == [
        f"--km-path: what lies at hdfs://nn/km now has SHA-256 {SHA256}; when it was first read it had {old},"
        " and agents run no other"
    ]


def test_each_artifact_is_read_once_for_both_checks(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def both(subject: Subject) -> list[Found]:
        return [*await artifacts.readable(subject), *await artifacts.digest(subject)]

    assert found(both, world.subject()) == []
    assert sorted(world.reads) == [KM_URI, f"{KM_URI}let"]


def test_a_path_of_the_agents_whose_digest_nobody_knows_keeps_the_scheduler_from_starting(tmp_path: Path) -> None:
    [words] = said(artifacts.readable, World(tmp_path).subject("--kubelet-path=/agents/kubelet"))
    assert words == (
        "--kubelet-path=file:///agents/kubelet names no SHA-256 and is not on this host to be read:"
        " the scheduler does not start"
    )
    named = f"--kubelet-path=/agents/{SHA256}/kubelet"
    assert said(artifacts.readable, World(tmp_path).subject(named)) == []


def test_a_digest_that_was_kept_is_known(tmp_path: Path) -> None:
    value = f'{{\\"schema\\":1,\\"digests\\":{{\\"file:///agents/kubelet\\":\\"{SHA256}\\"}}}}'
    (tmp_path / "artifacts").write_text(f'{{"schema":1,"revision":1,"value":"{value}"}}')
    assert said(artifacts.readable, World(tmp_path).subject("--kubelet-path=/agents/kubelet")) == []
