"""`km framework`: only on purpose, only while no scheduler acts with the id, in a folder and in etcd."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kmsched import flags
from kmsched.cli import km
from kmsched.cli.framework import adopt, look, reset, verdict
from kmsched.cli.store_command import Place, place_of
from kmsched.clients.http import Request
from kmsched.clients.store import FolderStore
from kmsched.errors import ConfigRefused, Mismatched, Unavailable
from kmsched.wire import mesos_operator as wire
from kmsched.wire.mesos import Id
from tests import virtual_time
from tests.clients.etcd_model import EtcdModel, EtcdWays, Way
from tests.clients.fakes import HandlerTransport, Reply
from tests.virtual_time import VirtualClock

ETCD = "http://etcd:2379"
HA = ("--ha", f"--etcd-servers={ETCD}", "--ha-instance=t", "--ha-url=http://10.0.0.9:1")
PREFIX = "/kmsched/Kubernetes/"


def run(*line: str) -> int:
    return km.run(["framework", *line])


def stored(folder: Path, **records: str) -> None:
    store = FolderStore(folder)
    for key, value in records.items():
        asyncio.run(store.create(key.replace("_", "-"), value))
    store.close()


def value_of(folder: Path, key: str) -> str:
    value: str = json.loads((folder / key).read_bytes())["value"]
    return value


def test_reset_forgets_the_named_id_and_keeps_the_term(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path, framework_id="f-1", term="7")
    assert run("reset", "--confirm=f-2", f"--state-dir={tmp_path}") == 14
    assert "the framework id that is stored is f-1, not f-2" in capsys.readouterr().err
    assert run("reset", f"--state-dir={tmp_path}") == 2
    assert "give --confirm=FRAMEWORK_ID" in capsys.readouterr().err
    assert value_of(tmp_path, "framework-id") == "f-1"
    assert run("reset", "--confirm", "f-1", "--state-dir", str(tmp_path)) == 0
    assert "framework id f-1 is forgotten" in capsys.readouterr().out
    assert (value_of(tmp_path, "framework-id"), value_of(tmp_path, "term")) == ("", "7")
    assert run("show", f"--state-dir={tmp_path}") == 0
    assert "framework id: none: it was reset" in capsys.readouterr().out
    assert run("reset", "--confirm=none", f"--state-dir={tmp_path}") == 0


def test_adopt_stores_an_id_only_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("adopt", "f-1", f"--state-dir={tmp_path}") == 0
    assert "f-1 is stored now" in capsys.readouterr().out
    assert run("adopt", "f-1", f"--state-dir={tmp_path}") == 0
    assert "was stored already" in capsys.readouterr().out
    assert run("adopt", "f-2", f"--state-dir={tmp_path}") == 14
    assert "framework id f-1 is stored, and f-2 is another" in capsys.readouterr().err
    assert value_of(tmp_path, "framework-id") == "f-1"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["adopt"], 2, "write km framework adopt ID"),
        (["adopt", "--state-dir=/tmp"], 2, "write km framework adopt ID"),
        (["adopt", "f 1"], 2, "is no framework id"),
        (["adopt", "../f"], 2, "is no framework id"),
        (["adopt", "f-1", "--state-dir=/none"], 10, "there is no such folder"),
        (["reset", "--confirm=f-1", "--state-dir=/none"], 10, "there is no such folder"),
        (["show", "--ha"], 10, "--ha needs --etcd-servers"),
        (["show", "--nonsense"], 2, "unknown flag --nonsense"),
        (["forget"], 2, "No such command"),
    ],
)
def test_what_is_refused(line: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*line) == code
    assert words in capsys.readouterr().err


def test_nothing_is_changed_while_a_scheduler_holds_the_folder_and_showing_needs_no_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path, framework_id="f-1", term="7")
    holder = FolderStore(tmp_path)
    for line in (["reset", "--confirm=f-1"], ["adopt", "f-1"]):
        assert run(*line, f"--state-dir={tmp_path}") == 10
        assert "in use by another scheduler" in capsys.readouterr().err
    assert run("show", "--json", f"--state-dir={tmp_path}") == 0
    holder.close()
    told = json.loads(capsys.readouterr().out)
    assert (told["framework_id"], told["term"], told["stored_in"]) == ("f-1", "7", str(tmp_path))
    assert told["mesos"] == "not asked: no --mesos-master is given; give the flags of the scheduler"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("adopt", "--help") == 0
    shown = capsys.readouterr().out
    assert "Usage: km framework adopt ID [OPTIONS]" in shown
    assert "--etcd-servers" in shown
    assert run("reset", "--help") == 0
    assert "--confirm FRAMEWORK_ID" in capsys.readouterr().out


# --- in etcd


Story = Callable[[EtcdModel, "Tools"], Coroutine[Any, Any, None]]


class Tools:
    """The commands against a modelled etcd, and a Mesos master that answers with `frameworks`."""

    def __init__(self, model: EtcdModel) -> None:
        self.ways = EtcdWays(model, {ETCD: Way()})
        self.frameworks: dict[str, Any] = {}
        self.master = HandlerTransport(self._answer)

    def _answer(self, _: Request) -> Reply:
        body = {"type": "GET_FRAMEWORKS", "get_frameworks": self.frameworks}
        return Reply(200, [json.dumps(body).encode()], {"content-type": "application/json"})

    def make(self, _: object) -> Any:
        return self

    async def call(self, request: Request, *, deadline_s: float) -> Any:
        target: Any = self.ways if request.url.startswith(ETCD) else self.master
        return await target.call(request, deadline_s=deadline_s)

    def stream(self, request: Request, *, connect_s: float, idle_s: float) -> Any:
        raise AssertionError(f"nothing is watched here: {request.url}")

    async def close(self) -> None:
        pass

    @property
    def place(self) -> Place:
        return place_of(flags.parse(HA, flags.SCHEDULER, complete=False))

    async def shown(self, *more: str) -> Any:
        return await look(flags.parse([*HA, *more], flags.SCHEDULER, complete=False), self.make, VirtualClock())

    async def adopt(self, framework_id: str) -> bool:
        return await adopt(self.place, framework_id, self.make, VirtualClock())

    async def reset(self, framework_id: str) -> str:
        return await reset(self.place, framework_id, self.make, VirtualClock())


def play(story: Story) -> None:
    async def main() -> None:
        model = EtcdModel(VirtualClock())
        await story(model, Tools(model))

    virtual_time.run(main())


LEADER = {
    "schema": 1,
    "instance": "a",
    "boot_id": "b",
    "url": "http://10.0.0.1:1",
    "since_s": 0.0,
    "term_at_least": 1,
    "lease_id": "1",
    "fingerprint": "f",
    "version": "0",
}


def put(model: EtcdModel, key: str, value: object) -> None:
    content = json.dumps(value).encode()
    put = {"key": _base64((PREFIX + key).encode()), "value": _base64(content), "lease": "0"}
    model.answer("/v3/kv/txn", {"compare": [], "success": [{"request_put": put}], "failure": []})


def delete(model: EtcdModel, key: str) -> None:
    gone = {"request_delete_range": {"key": _base64((PREFIX + key).encode())}}
    model.answer("/v3/kv/txn", {"compare": [], "success": [gone], "failure": []})


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_in_etcd_ids_are_changed_only_while_nobody_leads() -> None:
    async def story(model: EtcdModel, tools: Tools) -> None:
        assert await tools.adopt("f-1")
        assert not await tools.adopt("f-1")
        with pytest.raises(Mismatched):
            await tools.adopt("f-2")
        with pytest.raises(Mismatched):
            await tools.reset("f-2")
        put(model, "leader", LEADER)
        for act in (tools.adopt("f-1"), tools.reset("f-1")):
            with pytest.raises(ConfigRefused, match=r"a at http://10\.0\.0\.1:1 leads; stop all schedulers"):
                await act
        shown = await tools.shown()
        assert (shown.framework_id, shown.leader) == ("f-1", "a at http://10.0.0.1:1")
        put(model, "leader", "nobody can read this")
        with pytest.raises(ConfigRefused, match="somebody leads"):
            await tools.reset("f-1")
        delete(model, "leader")
        assert await tools.reset("f-1") == "f-1"
        shown = await tools.shown()
        assert (shown.framework_id, shown.leader, shown.stored_in) == ("", "", f"etcd under {PREFIX}")

    play(story)


def test_a_leader_that_begins_just_then_keeps_its_id() -> None:
    async def story(model: EtcdModel, tools: Tools) -> None:
        await tools.adopt("f-1")
        answer = model.answer

        def leads_meanwhile(path: str, body: dict[str, Any], token: str) -> Any:
            if path.endswith("/txn"):
                put(model, "leader", LEADER)
            return answer(path, body, token)

        meanwhile: Any = SimpleNamespace(answer=leads_meanwhile)
        tools.ways.model = meanwhile
        with pytest.raises(ConfigRefused, match="began to lead meanwhile"):
            await tools.reset("f-1")
        tools.ways.model = model
        assert (await tools.shown()).framework_id == "f-1"

    play(story)


def framework(framework_id: str, **facts: Any) -> dict[str, Any]:
    info = {"name": "Kubernetes", "id": {"value": framework_id}, "failover_timeout": 600.0}
    return {"framework_info": info, **facts}


def test_what_mesos_says() -> None:
    async def story(model: EtcdModel, tools: Tools) -> None:
        tools.frameworks = {
            "frameworks": [framework("f-1", active=True, connected=True), framework("f-2", recovered=True)],
            "completed_frameworks": [framework("f-3")],
        }
        scheduler = ("--mesos-master=m:5050", f"--km-path=/opt/{'0' * 64}/km", "--api-servers=k:6443")
        assert (await tools.shown(*scheduler)).mesos == "registered with the name 'Kubernetes': f-1, f-2"
        await tools.adopt("f-1")
        assert (await tools.shown(*scheduler)).mesos == "subscribed"
        assert (await tools.shown("--mesos-master=m:5050")).mesos.startswith("not asked: neither --kubeconfig")

    play(story)
    answer = wire.GetFrameworks(
        frameworks=[
            wire.Framework(wire.FrameworkInfo(name="Kubernetes", id=Id("f-2"), failover_timeout=600), recovered=True)
        ],
        completed_frameworks=[wire.Framework(wire.FrameworkInfo(name="x", id=Id("f-3")))],
    )
    assert verdict(answer, "f-2", "x").startswith("disconnected: its tasks run on, and end when nobody subscribes")
    assert verdict(answer, "f-3", "x").startswith("removed: it never can be subscribed again")
    assert verdict(answer, "f-4", "x").startswith("unknown:")


def test_a_store_that_is_away_is_told() -> None:
    async def story(model: EtcdModel, tools: Tools) -> None:
        model.lose_quorum()
        for act in (tools.shown(), tools.adopt("f"), tools.reset("f")):
            with pytest.raises(Unavailable):
                await act

    play(story)
