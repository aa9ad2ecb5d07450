"""Commands for credentials, as real processes: small shell scripts that note how often they ran."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.exec_plugin import EARLY_S, PAUSE_S, ExecCredentials, found_plugin
from kmsched.clients.kube import load_access
from kmsched.errors import ConfigRefused, Unavailable
from kmsched.wire.exec_credential import V1, ExecCredential, ExecPlugin
from tests.clients.fakes import FakeClock
from tests.executor.world import until

USER = "user 'km' of the kubeconfig: the command "


class Command:
    """A script in `folder` that prints the file `answer` beside it."""

    def __init__(self, folder: Path, body: str = "cat answer") -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.path = folder / "get-token"
        self.path.write_text(f"#!/bin/sh\ncd {folder}\necho run >> runs\n{body}\n")
        self.path.chmod(0o755)

    def answers(self, token: str, life_s: float | None = None) -> None:
        status = {"token": token}
        if life_s is not None:
            end = datetime.fromtimestamp(self.clock.wall() + life_s, UTC)
            status["expirationTimestamp"] = end.isoformat()
        content = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
        (self.folder / "answer").write_text(json.dumps(content))

    def fails(self) -> None:
        (self.folder / "answer").unlink()

    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def credentials(
        self, plugin: ExecPlugin | None = None, tls: TlsSettings | None = None, command_s: float = 10.0
    ) -> ExecCredentials:
        return ExecCredentials(
            replace(plugin or ExecPlugin(""), command=str(self.path)),
            "km",
            tls or TlsSettings(),
            self.clock,
            environment={"PATH": os.environ["PATH"], "INHERITED": "yes"},
            command_s=command_s,
        )


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def token(credentials: ExecCredentials) -> str | None:
    return asyncio.run(credentials.current()).token


def refusal(credentials: ExecCredentials) -> str:
    with pytest.raises(Unavailable) as caught:
        asyncio.run(credentials.current())
    return str(caught.value)


def test_many_callers_need_one_run(command: Command) -> None:
    command.answers("one")
    credentials = command.credentials()

    async def scenario() -> list[ExecCredential]:
        return await asyncio.gather(*(credentials.current() for _ in range(5)))

    assert {each.token for each in asyncio.run(scenario())} == {"one"}
    assert command.runs() == 1
    command.answers("two")
    command.clock.now_s += 1e9
    assert token(credentials) == "one"  # it does not say that it ends


def test_the_next_one_is_fetched_before_it_expires(command: Command) -> None:
    credentials = command.credentials()
    command.answers("one", life_s=100)
    assert token(credentials) == "one"
    command.answers("two", life_s=100)
    command.clock.now_s += 100 - EARLY_S - 1
    assert token(credentials) == "one"
    command.clock.now_s += 1
    assert token(credentials) == "two"
    command.clock.now_s += 1000
    command.answers("three", life_s=4)
    assert token(credentials) == "three"
    command.answers("four", life_s=4)
    command.clock.now_s += 1.9
    assert token(credentials) == "three"
    command.clock.now_s += 0.2
    assert token(credentials) == "four"
    assert command.runs() == 4


def test_while_the_command_fails_the_one_before_serves_until_it_expires(command: Command) -> None:
    credentials = command.credentials()
    command.answers("one", life_s=100)
    assert token(credentials) == "one"
    command.fails()
    command.clock.now_s += 95
    assert token(credentials) == token(credentials) == "one"
    assert command.runs() == 2
    command.clock.now_s += 5
    assert refusal(credentials).startswith(USER)
    command.clock.now_s += PAUSE_S
    command.answers("two")
    assert token(credentials) == "two"


def test_a_failing_command_is_not_run_for_each_of_many_callers(command: Command) -> None:
    credentials = command.credentials()
    words = refusal(credentials)
    assert words == f"{USER}{command.path} failed with exit code 1: cat: answer: No such file or directory"
    assert refusal(credentials) == words
    assert command.runs() == 1
    command.clock.now_s += PAUSE_S
    command.answers("one")
    assert token(credentials) == "one"


def test_a_refused_credential_is_replaced_once(command: Command) -> None:
    credentials = command.credentials()
    command.answers("one")

    async def scenario() -> None:
        first = await credentials.current()
        assert not await credentials.replaced(first)  # it is too young: another would be the same
        command.clock.now_s += PAUSE_S
        assert not await credentials.replaced(first)  # and indeed it is
        command.clock.now_s += PAUSE_S
        command.clock.wall_ahead_s = -3600.0  # says nothing about its age
        command.answers("two")
        assert all(await asyncio.gather(credentials.replaced(first), credentials.replaced(first)))
        assert await credentials.replaced(first)
        assert (await credentials.current()).token == "two"

    asyncio.run(scenario())
    assert command.runs() == 3


def test_what_the_command_finds(tmp_path: Path) -> None:
    command = Command(tmp_path, 'echo "$*/$MINE/$INHERITED" > seen; echo "$KUBERNETES_EXEC_INFO" > info; cat answer')
    command.answers("one")
    plugin = ExecPlugin("", ("-a", "b c; $(d)"), (("MINE", "m"),), cluster={"server": "https://k:6443"})
    (tmp_path / "ca.crt").write_text("CA")
    assert token(command.credentials(plugin, TlsSettings(ca_file=str(tmp_path / "ca.crt")))) == "one"
    assert (tmp_path / "seen").read_text() == "-a b c; $(d)/m/yes\n"
    assert json.loads((tmp_path / "info").read_text()) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://k:6443",
                "certificate-authority-data": base64.b64encode(b"CA").decode(),
            },
        },
    }


def test_a_command_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    command = Command(tmp_path, "sleep 1000 & echo $! > child; wait")
    assert refusal(command.credentials(command_s=0.2)) == f"{USER}{command.path} did not end within 0.2 s"
    pid = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_prints_without_end_is_ended_and_asked_again(tmp_path: Path) -> None:
    command = Command(tmp_path, "cat answer || yes")
    credentials = command.credentials(command_s=0.2)

    async def scenario() -> str | None:
        with pytest.raises(Unavailable, match=r"did not end within 0\.2 s"):
            await credentials.current()
        command.answers("one")
        command.clock.now_s += PAUSE_S
        return (await credentials.current()).token

    assert asyncio.run(scenario()) == "one"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo no >&2; exit 3", "failed with exit code 3: no; get it there"),
        ("kill -9 $$", "failed with signal 9: (nothing); get it there"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", "x" * 500 + "…; get it there"),
        ("echo hush", "printed no ExecCredential in JSON: JSON is malformed"),
        ("head -c 3000000 /dev/zero", "printed more than 1 MiB, which is no credential"),
    ],
)
def test_why_there_is_no_credential(tmp_path: Path, body: str, words: str) -> None:
    said = refusal(Command(tmp_path, body).credentials(ExecPlugin("", install_hint="get it there")))
    assert said.startswith(USER)
    assert words in said
    assert "hush" not in said


def test_an_expired_credential_is_none(command: Command) -> None:
    command.answers("one", life_s=-60)
    assert refusal(command.credentials()).endswith("gave a credential that expired 60 s ago: check the clocks")


def test_a_command_that_has_gone(command: Command) -> None:
    command.path.unlink()
    said = refusal(command.credentials(ExecPlugin("", install_hint="get it there")))
    assert said == f"{USER}{command.path} cannot be started: No such file or directory; get it there"


def test_a_caller_that_goes_leaves_the_run_to_the_others(command: Command) -> None:
    command.answers("one")
    credentials = command.credentials()

    async def scenario() -> str | None:
        first = asyncio.create_task(credentials.current())
        second = asyncio.create_task(credentials.current())
        await asyncio.sleep(0)
        first.cancel()
        return (await second).token

    assert asyncio.run(scenario()) == "one"


def test_close_ends_the_command(tmp_path: Path) -> None:
    command = Command(tmp_path, "echo $$ > child; exec sleep 1000")

    async def scenario() -> None:
        credentials = command.credentials()
        waiting = asyncio.create_task(credentials.current())
        await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
        await credentials.close()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(scenario())
    assert not Path(f"/proc/{(tmp_path / 'child').read_text().strip()}").exists()


# --- the way to the command


def kubeconfig(folder: Path, command: str, **more: str) -> str:
    asked = {"apiVersion": V1, "interactiveMode": "Never", "command": command, **more}
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://k:6443"}}],
        "users": [{"name": "u", "user": {"exec": asked}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_relative_path_is_relative_to_the_kubeconfig(command: Command) -> None:
    for name in ("./get-token", str(command.path)):
        found = load_access(kubeconfig(command.folder, name)).plugin
        assert found is not None
        assert Path(found.command).samefile(command.path)


def test_a_name_is_looked_for_in_the_path(tmp_path: Path) -> None:
    assert found_plugin(ExecPlugin("sh"), tmp_path).command.endswith("/sh")


@pytest.mark.parametrize("name", ["no-such-command", "./get-token", "/"])
def test_a_command_that_is_not_there_is_refused_with_the_hint(tmp_path: Path, name: str) -> None:
    path = kubeconfig(tmp_path, name, installHint="get it there")
    with pytest.raises(ConfigRefused) as caught:
        load_access(path)
    words = f"the command {name!r} for credentials is not there, or cannot be run; get it there"
    assert str(caught.value) == f"{path}: user 'u': {words}"
