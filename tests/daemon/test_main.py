"""The whole process against fake upstreams: the order of starting, recovery of the term, and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from kmsched.clients.http import Request
from kmsched.clients.store import FolderStore
from kmsched.core.effects import Effect
from kmsched.core.events import Event, OffersArrived, PodsListed
from kmsched.core.state import State
from kmsched.core.step import step
from kmsched.daemon.main import cause_of
from kmsched.errors import ConfigRefused, Deposed, FrameworkIdMissing, InternalError
from tests.clients.fakes import HandlerTransport, Reply, Silence
from tests.daemon.processes import SHA, Process, World, is_subscribed, record
from tests.daemon.values import pod_json

ROOT = Path(__file__).parents[2]


def test_it_subscribes_only_when_pods_and_nodes_are_known(tmp_path: Path) -> None:
    world = World(pod_json())

    async def scenario() -> None:
        process = Process(tmp_path, world)
        await process.until(is_subscribed)
        kinds = [type(event).__name__ for event in process.seen if type(event).__name__ != "Ticked"]
        assert kinds.index("Subscribed") > max(kinds.index("PodsListed"), kinds.index("NodesListed"))

    asyncio.run(scenario())
    assert world.order.index("SUBSCRIBE") > max(world.order.index("list pods"), world.order.index("list nodes"))
    subscribe = world.calls[0]["subscribe"]["framework_info"]
    assert "id" not in subscribe
    assert subscribe["hostname"] == "s1"
    assert b'"f-1"' in (tmp_path / "framework-id").read_bytes()


def test_the_second_start_keeps_the_framework_id_and_takes_a_new_term(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        terms = []
        for _ in range(2):
            process = Process(tmp_path, World())
            await process.until(is_subscribed)
            assert process.daemon.scheduler is not None
            terms.append(process.daemon.scheduler.core.state.term)
        return terms

    assert asyncio.run(scenario()) == [1, 2]
    world = World()
    asyncio.run(Process(tmp_path, world).until(is_subscribed))
    assert world.calls[0]["framework_id"] == {"value": "f-1"}


def test_a_kube_scheduler_of_the_same_name_is_a_warning_and_the_process_is_ready(tmp_path: Path) -> None:
    world = World()
    world.lease = {"spec": {"holderIdentity": "cp-1", "renewTime": "2100-01-01T00:00:00Z"}}
    process = Process(tmp_path, world)

    def is_told(_: Event) -> bool:
        scheduler = process.daemon.scheduler
        return scheduler is not None and scheduler.told.ready()["warnings"] != []

    asyncio.run(process.until(is_told))
    assert process.daemon.scheduler is not None
    ready = process.daemon.scheduler.told.ready()
    assert [words.partition(" (")[0] for words in ready["warnings"]] == ["a kube-scheduler is alive"]
    assert not any("kube-scheduler" in words for words in ready["reasons"])


def test_a_term_that_pods_name_is_never_used_again(tmp_path: Path) -> None:
    pod = pod_json(node="node-1", task_id="uid-web.zz.4")

    async def scenario() -> int:
        store = FolderStore(tmp_path)
        await store.create("framework-id", "f-1")
        store.close()
        process = Process(tmp_path, World(pod))
        await process.until(is_subscribed)
        assert process.daemon.scheduler is not None
        return process.daemon.scheduler.core.state.term

    assert asyncio.run(scenario()) == int("zz", 36) + 1
    assert json.loads((tmp_path / "term").read_bytes())["value"] == str(int("zz", 36) + 1)


def test_bound_pods_without_a_framework_id_end_the_process_before_any_subscribe(tmp_path: Path) -> None:
    world = World(pod_json(node="node-1", task_id="uid-web.1.1"))
    with pytest.raises(FrameworkIdMissing, match="default/web"):
        asyncio.run(Process(tmp_path, world).until(is_subscribed))
    assert "SUBSCRIBE" not in world.order


def test_pods_of_another_scheduler_need_no_framework_id_of_ours(tmp_path: Path) -> None:
    pod = pod_json(node="node-1", task_id="uid-web.1.1")
    pod["spec"]["schedulerName"] = "another"
    world = World(pod)
    asyncio.run(Process(tmp_path, world).until(is_subscribed))
    assert "SUBSCRIBE" in world.order


def test_pages_tell_readiness_and_pods(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process(tmp_path, World(pod_json()))

        async def ask() -> None:
            assert process.daemon.scheduler is not None
            url = process.daemon.scheduler.web.url
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{url}/readyz") as reply:
                    ready = await reply.json()
                    assert reply.status == 503
                async with session.get(f"{url}/api/v1/pods/default/web") as reply:
                    pod = await reply.json()
                async with session.get(f"{url}/api/v1/status") as reply:
                    status = await reply.json()
                async with session.get(f"{url}/metrics") as reply:
                    text = await reply.text()
            assert ready["reasons"] == ["the state of all tasks is not reconciled with Mesos yet"]
            assert (ready["role"], ready["framework_id"]) == ("reconciling", "f-1")
            assert pod["state"] == "pending"
            assert status["link"] == "reconciling"
            assert 'kmsched_pods{state="pending"} 1.0' in text

        await process.until(is_subscribed, ask)

    asyncio.run(scenario())


def test_our_spec_is_in_the_store_before_mesos_is_asked_and_agents_with_another_are_told_apart(tmp_path: Path) -> None:
    theirs = b'{"flags":{"cluster-domain":"b"},"schema":2}'
    other = f"km-{hashlib.sha256(theirs).hexdigest()[:16]}"
    (tmp_path / "executors").mkdir(mode=0o700)
    (tmp_path / "executors" / hashlib.sha256(theirs).hexdigest()).write_bytes(
        json.dumps({"schema": 1, "revision": 1, "value": theirs.decode()}).encode()
    )
    offers = [
        {
            "id": {"value": f"o{n}"},
            "framework_id": {"value": "f-1"},
            "agent_id": {"value": f"A{n}"},
            "hostname": f"h{n}",
            "executor_ids": [{"value": each}] if each else [],
        }
        for n, each in enumerate((other, other, ""))
    ]
    world = World()
    world.stream = [*world.stream[:1], record("OFFERS", offers={"offers": offers}), Silence()]
    kept: list[bool] = []
    answer = world.answer

    def answer_and_look(request: Request) -> Reply:
        if "/api/v1/scheduler" in request.url:
            kept.append(len(list((tmp_path / "executors").iterdir())) == 2)
        return answer(request)

    world.transport = HandlerTransport(answer_and_look)

    async def scenario() -> None:
        process = Process(tmp_path, world)

        async def ask() -> None:
            assert process.daemon.scheduler is not None
            url = process.daemon.scheduler.web.url
            async with aiohttp.ClientSession() as session:
                agents = await (await session.get(f"{url}/api/v1/agents")).json()
                executors = await (await session.get(f"{url}/api/v1/executors")).json()
                metrics = await (await session.get(f"{url}/metrics")).text()
            assert [each["compatible"] for each in agents["agents"]] == [False, False, True]
            assert agents["settings"]["version"] == 1
            assert agents["settings"]["values"]["agent-idle-timeout"] == "1200s"
            assert "--cluster-domain: not set here, 'b' there" in agents["agents"][0]["differences"]
            running = {each["executor_id"]: (each["ours"], each["agents"]) for each in executors["executors"]}
            assert running == {other: (False, 2), f"km-{agents['fingerprint'][:16]}": (True, 0)}
            assert f'kmsched_agents_by_fingerprint{{fingerprint="{other[3:]}",ours="false"}} 2.0' in metrics

        await process.until(lambda event: isinstance(event, OffersArrived), ask)

    asyncio.run(scenario())
    assert kept[0]


def test_a_pod_that_cannot_be_read_is_known_and_placed_nowhere(tmp_path: Path) -> None:
    odd = pod_json()
    odd["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "plenty"

    async def scenario() -> None:
        process = Process(tmp_path, World(odd))
        await process.until(is_subscribed)
        assert process.daemon.scheduler is not None
        (found,) = process.daemon.scheduler.core.state.pods.values()
        assert found.pod.key == "default/web"
        assert "plenty" in found.pod.unsupported[0].words

    asyncio.run(scenario())


def test_a_core_that_raises_ends_everything_with_an_internal_error(tmp_path: Path) -> None:
    def broken(state: State, event: Event, now: float) -> Sequence[Effect]:
        if isinstance(event, PodsListed):
            raise KeyError("defect")
        return step(state, event, now)

    with pytest.raises(InternalError, match="the core cannot take PodsListed"):
        asyncio.run(Process(tmp_path, World(), broken).until(is_subscribed))
    FolderStore(tmp_path).close()


def test_failed_over_ends_everything_as_deposed(tmp_path: Path) -> None:
    stream = [
        record("SUBSCRIBED", subscribed={"framework_id": {"value": "f-1"}}),
        record("ERROR", error={"message": "Framework failed over"}),
    ]
    with pytest.raises(Deposed):
        asyncio.run(Process(tmp_path, World(stream=stream)).until(lambda _: False))


def test_a_folder_in_use_ends_before_anything_is_asked(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    world = World()
    with pytest.raises(ConfigRefused, match="in use by another scheduler"):
        asyncio.run(Process(tmp_path, world).until(is_subscribed))
    assert world.order == []
    store.close()


def test_the_fatal_error_is_found_among_several() -> None:
    fatal = Deposed("over")
    assert cause_of(BaseExceptionGroup("", [OSError("x"), BaseExceptionGroup("", [fatal])])) is fatal
    defect = cause_of(ExceptionGroup("", [ValueError("odd")]))
    assert isinstance(defect, InternalError)
    assert "ValueError: odd" in str(defect)


def test_sigterm_ends_the_real_process_with_0_while_its_upstreams_are_away(tmp_path: Path) -> None:
    arguments = [
        "--mesos-master=127.0.0.1:1",
        "--api-servers=http://127.0.0.1:1",
        f"--state-dir={tmp_path}",
        f"--km-path=/opt/{SHA}/km",
        f"--kubelet-path=/opt/{SHA}/kubelet",
        "--port=0",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NOTIFY")}
    with subprocess.Popen(
        [sys.executable, "-m", "kmsched.cli.km", "scheduler", *arguments],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "cannot be used yet" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait() == 0
    assert "ended by SIGTERM; tasks and pods run on" in rest


def test_a_mutable_path_is_read_once_and_its_digest_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is replaced between two starts: the executor id stays."""

    async def started(content: bytes) -> str:
        world = World()
        world.artifacts = {"hdfs:///km": content}
        process = Process(tmp_path, world, step, "--km-path=hdfs:///km")
        await process.until(is_subscribed)
        assert process.daemon.scheduler is not None
        return process.daemon.scheduler.core.state.settings.executor_id

    assert asyncio.run(started(b"first")) == asyncio.run(started(b"second"))
    assert caplog.text.count("--km-path=hdfs:///km names no SHA-256. Its file was read once") == 2


def test_a_file_of_agents_without_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="--km-path=file:///opt/km names no SHA-256"):
        asyncio.run(Process(tmp_path, World(), step, "--km-path=/opt/km").daemon.run())


MESOS_TLS = ("--mesos-master=https://m:5050", "--mesos-ca-file=/ca", "--mesos-cert-file=/c", "--mesos-key-file=/k")


def test_certificates_for_mesos_are_read_anew_and_the_subscription_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World()

    async def scenario() -> None:
        process = Process(tmp_path, world, step, *MESOS_TLS)

        async def reload() -> None:
            asked = len(world.tls)
            await process.daemon.reload()
            assert [(tls.ca_file, tls.cert_file, tls.key_file) for tls in world.tls[asked:]] == [("/ca", "/c", "/k")]
            world.bad_files = "--mesos-cert-file: cannot read the client certificate /c"
            await process.daemon.reload()
            assert world.order.count("SUBSCRIBE") == 1
            scheduler = process.daemon.scheduler
            assert scheduler is not None
            assert scheduler.readiness.unsubscribed == ""

        await process.until(is_subscribed, reload)

    asyncio.run(scenario())
    assert caplog.messages.count("tokens, passwords and certificates are read anew") == 1
    assert (
        "the certificates for Mesos stay as they were: --mesos-cert-file: cannot read the client certificate /c"
        in caplog.messages
    )


def test_certificates_for_mesos_that_are_no_good_are_refused_at_the_start(tmp_path: Path) -> None:
    world = World()
    world.bad_files = "--mesos-ca-file=/ca is not a PEM certificate"
    with pytest.raises(ConfigRefused, match="--mesos-ca-file=/ca is not a PEM certificate"):
        asyncio.run(Process(tmp_path, world, step, *MESOS_TLS).daemon.run())
