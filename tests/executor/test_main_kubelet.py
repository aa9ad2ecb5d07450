"""The executor as a whole: where kubelet comes from, and hosts that cannot run it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from kmsched.errors import EXIT_CONFIG, EXIT_OK, StorageUnreachable
from tests.executor.runs import Run, one_running, play, serve
from tests.executor.world import World, until


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        (lambda run: (run.folder / "kubeconfig").unlink(), "cannot read the kubeconfig"),
        (lambda run: (run.folder / "kubelet").unlink(), "--kubelet-path: there is no program at"),
        (lambda run: (run.folder / "kubelet").write_text("#!/none/sh\n"), "cannot run"),
        (lambda run: (run.folder / "root").write_text("a file"), "cannot open"),
    ],
)
def test_a_host_that_cannot_run_kubelet_fails_the_tasks_with_the_reason(
    run: Run, breakage: Callable[[Run], object], words: str
) -> None:
    breakage(run)

    async def story() -> None:
        await until(lambda: run.world.agent)
        run.world.launch("t1", "ns/p", "uid-p")
        await until(lambda: run.world.states("t1") == ["FAILED"])
        assert words in run.world.last()["message"]

    async def ends() -> int:
        running = asyncio.create_task(run.execute())
        await story()
        return await running

    assert asyncio.run(ends()) == EXIT_CONFIG


def test_kubelet_is_fetched_checked_and_kept_for_the_next_executor(run: Run) -> None:
    content = (run.folder / "kubelet").read_bytes()
    uri = serve(run, "hdfs://ns1/k/kubelet", content)
    run.settings = replace(run.settings, kubelet_path=uri)

    async def story() -> None:
        await one_running(run)
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK
    kept = run.settings.artifacts_dir / hashlib.sha256(content).hexdigest() / "kubelet"
    assert kept.read_bytes() == content
    (run.folder / "kubelet.log").unlink()
    run.world = World()
    assert play(run, story) == EXIT_OK
    assert run.fetched == [uri]


def test_another_kubelet_than_was_named_fails_the_tasks_with_both_digests(run: Run) -> None:
    uri = serve(run, "http://files/kubelet", b"right")
    run.files["http://files/kubelet"] = b"wrong"
    run.settings = replace(run.settings, kubelet_path=uri)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"wrong", b"right")]

    async def story() -> None:
        await until(lambda: run.world.agent)
        run.world.launch("t1", "ns/p", "uid-p")
        await until(lambda: run.world.states("t1") == ["FAILED"])
        assert "sha256 {} fetched, {} expected".format(*digests) in run.world.last()["message"]

    async def ends() -> int:
        running = asyncio.create_task(run.execute())
        await story()
        return await running

    assert asyncio.run(ends()) == EXIT_CONFIG
    assert run.starts() == []


def test_while_kubelet_cannot_be_fetched_tasks_fail_by_the_launch_grace_and_are_told_why(run: Run) -> None:
    uri = serve(run, "hdfs://ns1/kubelet", b"")
    run.files["hdfs://ns1/kubelet"] = StorageUnreachable("no NameNode of ns1 answers")
    run.settings = replace(run.settings, kubelet_path=uri, launch_grace_s=2.0)

    async def story() -> None:
        await until(lambda: run.world.agent)
        run.world.launch("t1", "ns/p", "uid-p")
        await until(lambda: run.world.states("t1") == ["FAILED"])
        assert "launch grace of 2 s has passed: kubelet " in run.world.last()["message"]
        assert "no NameNode of ns1 answers" in run.world.last()["message"]
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK
