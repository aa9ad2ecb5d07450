"""What a process shows to Mesos and Kubernetes is read anew while it runs, against fakes that ask for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from kmsched.clients.http import Request
from kmsched.clients.mesos import Credentials
from kmsched.core.step import step
from kmsched.daemon.outlets import Outlets
from kmsched.wire import mesos_calls
from tests.clients.fakes import Reply
from tests.daemon.processes import Process, World, is_subscribed


class Guarded(World):
    """It asks for the one secret, and for the one token."""

    def __init__(self) -> None:
        super().__init__()
        self.secret, self.token = "first", "first"

    def answer(self, request: Request) -> Reply:
        is_mesos = request.host == "m:5050"
        wanted = Credentials("km", self.secret).header() if is_mesos else f"Bearer {self.token}"
        if request.headers.get("authorization") != wanted:
            return Reply(401, [b'{"message":"Unauthorized"}'])
        return super().answer(request)


def kubeconfig(token: str, **more: object) -> str:
    return yaml.safe_dump(
        {
            "current-context": "main",
            "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "http://api:8080"}}],
            "users": [{"name": "u", "user": {"token": token, **more}}],
        }
    )


def play(folder: Path, story: Callable[[Guarded, Process, Outlets], Awaitable[None]]) -> None:
    (folder / "secret").write_text("first\n")
    (folder / "kubeconfig").write_text(kubeconfig("first"))
    world = Guarded()

    async def main() -> None:
        process = Process(
            folder,
            world,
            step,
            "--mesos-authentication-principal=km",
            f"--mesos-authentication-secret-file={folder}/secret",
            f"--kubeconfig={folder}/kubeconfig",
        )

        async def then() -> None:
            assert process.daemon.scheduler is not None
            await story(world, process, process.daemon.scheduler._outlets)

        await process.until(is_subscribed, then)

    asyncio.run(main())
    assert world.order.count("SUBSCRIBE") == 1, "the subscription goes on"


def test_another_secret_for_mesos_is_shown_after_a_reload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = "another secret for Mesos is shown from now on, for the principal km"

    async def story(world: Guarded, process: Process, outlets: Outlets) -> None:
        await process.daemon.reload()
        assert told not in caplog.messages, "it is the same"
        # Mesos is ahead of us: our calls are refused until the file follows
        world.secret = "second"
        (tmp_path / "secret").write_text("second\n")
        await process.daemon.reload()
        assert caplog.messages.count(told) == 1
        await outlets.mesos.call(mesos_calls.suppress())
        await outlets.mesos_operator.reach_leader()

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("third", "the new one is not taken: m:5050 answered 401"),
        ("", "--mesos-authentication-secret-file: "),
        (None, "--mesos-authentication-secret-file: cannot read"),
    ],
)
def test_a_secret_for_mesos_that_is_no_good_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, words: str
) -> None:
    async def story(world: Guarded, process: Process, outlets: Outlets) -> None:
        (tmp_path / "secret").unlink()
        if content is not None:
            (tmp_path / "secret").write_text(content)
        await process.daemon.reload()
        assert f"the secret for Mesos stays as it was: {words}" in caplog.text
        await outlets.mesos.call(mesos_calls.suppress())

    play(tmp_path, story)


def test_a_standby_keeps_a_secret_that_mesos_takes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It has no subscription that proves the old one."""

    async def story(world: Guarded, process: Process, outlets: Outlets) -> None:
        outlets.mesos._subscription = None
        (tmp_path / "secret").write_text("third")
        await process.daemon.reload()
        assert "the secret for Mesos stays as it was: the new one is not taken" in caplog.text
        # neither is taken: the file is the newer word
        world.secret = "fourth"
        await process.daemon.reload()
        world.secret = "third"
        await outlets.mesos_operator.reach_leader()

    play(tmp_path, story)


def test_a_kubeconfig_is_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(world: Guarded, process: Process, outlets: Outlets) -> None:
        world.token = "second"
        (tmp_path / "kubeconfig").write_text(kubeconfig("second"))
        await process.daemon.reload()
        assert f"{tmp_path}/kubeconfig is read anew: token" in caplog.messages
        await outlets.kube.request("GET", "/api/v1/nodes")

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (kubeconfig("third"), "the new ones are not taken: GET http://api:8080/api/v1/pods was answered 401"),
        ("users: [", "kubeconfig is no YAML"),
        (kubeconfig("first", **{"client-certificate": "/c"}), "client-certificate is set, but"),
    ],
)
def test_a_kubeconfig_that_is_no_good_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, words: str
) -> None:
    async def story(world: Guarded, process: Process, outlets: Outlets) -> None:
        (tmp_path / "kubeconfig").write_text(content)
        await process.daemon.reload()
        assert "certificates and token for Kubernetes stay as they were: " in caplog.text
        assert words in caplog.text
        await outlets.kube.request("GET", "/api/v1/nodes")

    play(tmp_path, story)
