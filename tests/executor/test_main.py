"""The executor as a whole: its agent and the API server are a fake behind the transport, kubelet is a real process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from kmsched.artifact_uri import with_digest, without_digest
from kmsched.clock import SystemClock
from kmsched.errors import EXIT_CONFIG, EXIT_OK, ConfigRefused, StorageUnreachable, UsageError
from kmsched.executor.lock import take_lock
from kmsched.executor.main import Parts, execute
from kmsched.executor.proxy_config import Mode
from kmsched.executor.settings import ExecutorSettings
from kmsched.wire import hotsettings
from kmsched.wire.hotsettings import HotSettings
from tests.executor.world import AGENT, FastClock, World, until

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://api:6443", certificate-authority: ca.crt}}]
users: [{name: u, user: {token: secret}}]
"""


@dataclass
class Run:
    """One executor in `folder`, with `world` around it."""

    world: World
    folder: Path
    settings: ExecutorSettings
    environ: dict[str, str]
    files: dict[str, bytes | Exception] = field(default_factory=dict)  # by URI, without digest
    fetched: list[str] = field(default_factory=list)
    lacks: dict[str, str] = field(default_factory=dict)  # why the kernel cannot do a mode

    async def execute(self) -> int:
        parts = Parts(FastClock(), Random(1), lambda _: self.world, b"seed", self.read, self.ask_kernel)
        return await execute(self.settings, self.environ, parts)

    def read(self, uri: str) -> Iterator[bytes]:
        self.fetched.append(uri)
        found = self.files[without_digest(uri)]
        if isinstance(found, Exception):
            raise found
        yield found

    async def ask_kernel(self, mode: Mode) -> str:
        return self.lacks.get(mode.name, "")

    def starts(self) -> list[str]:
        log = self.folder / "kubelet.log"
        return log.read_text().splitlines() if log.exists() else []

    async def lock_is_free(self) -> bool:
        try:
            os.close(await take_lock(self.settings.kubelet_root_dir, SystemClock(), wait_s=0))
        except ConfigRefused:
            return False
        return True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    kubelet = tmp_path / "kubelet"
    kubelet.write_text("#!/bin/sh\necho start $$ $*\nexec sleep 1000\n")
    kubelet.chmod(0o755)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    settings = ExecutorSettings(
        kubelet_path=str(kubelet),
        kubelet_kubeconfig=tmp_path / "kubeconfig",
        kubelet_root_dir=tmp_path / "root",
        artifacts_dir=tmp_path / "artifacts",
    )
    environ = {
        "MESOS_FRAMEWORK_ID": "f",
        "MESOS_EXECUTOR_ID": "km-1",
        "MESOS_SLAVE_ID": "agent-1",
        "MESOS_SLAVE_PID": AGENT.removeprefix("http://").split("/")[1] + "@10.0.0.7:5051",
        "MESOS_SANDBOX": str(tmp_path),
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "60secs",
    }
    return Run(World(), tmp_path, settings, environ)


def serve(run: Run, uri: str, content: bytes) -> str:
    """The URI with its digest, from now on readable."""
    run.files[uri] = content
    return with_digest(uri, hashlib.sha256(content).hexdigest())


def play(run: Run, story: Callable[[], Awaitable[None]]) -> int:
    """Run the executor while the story goes on; the executor's exit code."""

    async def both() -> int:
        running = asyncio.create_task(run.execute())
        telling = asyncio.ensure_future(story())
        await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done() and running.exception() is None:
            await telling
        telling.result()
        code = await running
        assert await run.lock_is_free()
        return code

    return asyncio.run(both())


async def one_running(run: Run) -> None:
    """A task whose pod runs."""
    world = run.world
    await until(lambda: world.agent)
    world.launch("t1", "ns/p", "uid-p")
    await until(lambda: run.starts() and all(world.watches.values()))
    world.set_node()
    await until(lambda: world.states("t1") == ["STARTING"])
    world.set_pod("p", "Pending", "t1")
    world.set_pod("p", "Running", "t1")
    await until(lambda: world.states("t1") == ["STARTING", "RUNNING"])


def test_a_pods_way_to_its_end_and_the_executors(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        config = json.loads((run.folder / "kubelet-config.json").read_text())
        assert config["systemReserved"]["cpu"].endswith("m")
        assert (run.folder / "kubelet-client-ca.crt").read_text() == "CERTIFICATE"
        words = run.starts()[0]
        assert "--hostname-override=h1" in words
        assert "--node-labels=k8s.mesosphere.io/attribute-rack=b" in words
        assert "--node-ip=10.0.0.7" in words
        world.event("KILL", kill={"task_id": {"value": "t1"}})
        await until(lambda: world.deletions)
        assert world.deletions[0]["path"] == "/api/v1/namespaces/ns/pods/p"
        version = world.pods["p"]["metadata"]["resourceVersion"]
        assert world.deletions[0]["preconditions"] == {"uid": "uid-p", "resourceVersion": version}
        assert "gracePeriodSeconds" not in world.deletions[0]
        world.remove_pod("p")
        await until(lambda: world.states("t1") == ["STARTING", "RUNNING", "KILLING", "KILLED"])
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_pod_that_changes_meanwhile_is_deleted_as_it_is_then(run: Run) -> None:
    world = run.world
    world.is_deletable = False

    async def story() -> None:
        await one_running(run)
        world.event("KILL", kill={"task_id": {"value": "t1"}})
        await until(lambda: world.deletions)
        world.is_deletable = True
        world.set_pod("p", "Running", "t1")
        version = world.pods["p"]["metadata"]["resourceVersion"]
        await until(lambda: world.deletions[-1]["preconditions"]["resourceVersion"] == version)
        world.remove_pod("p")
        await until(lambda: world.states("t1")[-1] == "KILLED")
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_after_a_cut_the_next_subscription_carries_what_was_not_acknowledged(run: Run) -> None:
    world = run.world
    world.acknowledges = False

    async def story() -> None:
        await one_running(run)
        sent = [call["update"]["status"] for call in world.calls if call["type"] == "UPDATE"]
        world.agent_answer = (503, b"Agent has not finished recovery")
        world.cut()
        await until(lambda: len(world.subscriptions()) >= 3)
        world.set_pod("p", "Succeeded", "t1")
        world.agent_answer = (200, b"")
        await until(lambda: world.agent)
        again = world.subscriptions()[-1]
        updates = [update["status"] for update in again["unacknowledged_updates"]]
        assert [(u["uuid"], u["state"]) for u in updates[:2]] == [(u["uuid"], u["state"]) for u in sent]
        task = again["unacknowledged_tasks"][0]
        assert (task["task_id"]["value"], task["later"]) == ("t1", {"field": 1})

        def told() -> list[str]:
            return [*(u["state"] for u in updates), *(f"TASK_{s}" for s in world.states("t1")[2:])]

        await until(lambda: told()[-1] == "TASK_FINISHED")
        assert told() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
        assert len(run.starts()) == 1
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_acknowledged_tasks_are_not_sent_back(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        world.cut()
        await until(lambda: world.agent)
        assert world.subscriptions()[-1] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


@pytest.mark.parametrize(
    "answer", [(503, b"recovering"), (400, b"Framework 'f' cannot be found"), (400, b"Executor cannot be found")]
)
def test_an_agent_that_stays_away_or_does_not_know_us_is_the_end(run: Run, answer: tuple[int, bytes]) -> None:
    async def story() -> None:
        await one_running(run)
        run.world.agent_answer = answer
        run.world.cut()

    assert play(run, story) == EXIT_OK


def test_without_checkpointing_the_end_of_the_stream_is_the_end(run: Run) -> None:
    run.environ["MESOS_CHECKPOINT"] = "0"

    async def story() -> None:
        await one_running(run)
        run.world.cut()

    assert play(run, story) == EXIT_OK
    assert len(run.world.subscriptions()) == 1


def test_kubelet_comes_back_after_a_crash_and_after_its_node_vanished(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        os.kill(int(run.starts()[0].split()[1]), signal.SIGKILL)
        await until(lambda: len(run.starts()) == 2)
        world.remove_node()
        await until(lambda: len(run.starts()) == 3)
        world.set_node()
        world.launch("t2", "ns/q", "uid-q")
        await until(lambda: world.states("t2") == ["STARTING"])
        assert world.states("t1") == ["STARTING", "RUNNING"]
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_allocatable_is_never_below_what_bound_pods_request(run: Run) -> None:
    world = run.world
    for name in ("a", "b", "c"):  # 192 MiB, and the agent has 112 for pods
        world.set_pod(name, "Running", "old")
    world.set_pod("d", "Succeeded", "old")

    async def story() -> None:
        await until(run.starts)
        remembered = json.loads((run.folder / "root" / "kmsched-allocatable.json").read_text())
        assert (remembered["cpus_milli"], remembered["mem_milli_mib"]) == (800, 192_000)
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_the_node_names_its_agent_to_schedulers(run: Run) -> None:
    world = run.world
    world.set_node()
    named = {"metadata": {"annotations": {"k8s.mesosphere.io/slaveId": "agent-1"}}}

    async def story() -> None:
        await until(lambda: named in world.patches)
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_node_that_exists_gets_the_agents_labels(run: Run) -> None:
    world = run.world
    world.set_node(labels={"k8s.mesosphere.io/attribute-gone": "1", "other": "x"})

    async def story() -> None:
        await until(run.starts)
        labels = {"k8s.mesosphere.io/attribute-rack": "b", "k8s.mesosphere.io/attribute-gone": None}
        assert {"metadata": {"labels": labels}} in world.patches
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


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


def proxied(run: Run, script: str) -> None:
    kubeconfig = run.folder / "proxy.kubeconfig"
    kubeconfig.write_text("")
    uri = serve(run, "hdfs://ns1/kube-proxy", f"#!/bin/sh\necho start $$ $*\n{script}\n".encode())
    run.settings = replace(
        run.settings, proxy_path=uri, proxy_kubeconfig=kubeconfig, proxy_extra_args=("--cluster-cidr=10.0.0.0/8",)
    )


def proxy_starts(run: Run) -> list[str]:
    log = run.folder / "kube-proxy.log"
    return log.read_text().splitlines() if log.exists() else []


def test_kube_proxy_runs_beside_kubelet_and_ends_with_it(run: Run) -> None:
    proxied(run, "exec sleep 1000")

    async def story() -> None:
        await one_running(run)
        await until(lambda: proxy_starts(run))
        words = proxy_starts(run)[0]
        assert f"--kubeconfig={run.folder}/proxy.kubeconfig --hostname-override=h1 --proxy-mode=nftables" in words
        assert words.endswith("--cluster-cidr=10.0.0.0/8")
        os.kill(int(words.split()[1]), signal.SIGKILL)
        await until(lambda: len(proxy_starts(run)) == 2)
        assert run.world.states("t1") == ["STARTING", "RUNNING"]
        assert not await run.lock_is_free()
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK
    for line in proxy_starts(run):
        assert not Path("/proc", line.split()[1]).exists()


def proxy_dies(run: Run) -> str:
    proxied(run, "echo no such flag >&2; exit 1")
    return "no such flag"


def proxy_is_silent(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.settings = replace(
        run.settings, proxy_extra_args=("--healthz-bind-address=127.0.0.1:7", "--proxy-mode=iptables")
    )
    run.world.dumb = "127.0.0.1:7"
    return "does not answer its health check: silence"


def proxy_is_another(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.files["hdfs://ns1/kube-proxy"] = b"wrong"
    return f"sha256 {hashlib.sha256(b'wrong').hexdigest()} fetched"


def proxy_has_no_scheme(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.files["hdfs://ns1/kube-proxy"] = UsageError("only file:, http:, https:, hdfs: can be read")
    return "only file:"


def proxy_is_no_program(run: Run) -> str:
    run.settings = replace(run.settings, proxy_path=serve(run, "http://f/kube-proxy", b"\x7fELF"))
    run.settings = replace(run.settings, proxy_kubeconfig=run.folder / "kubeconfig")
    return "cannot run"


def proxy_has_no_kubeconfig(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.settings.proxy_kubeconfig.unlink()
    return "system:node-proxier"


def kernel_lacks_all(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.lacks = {"nftables": "no nf_tables", "iptables": "no nat"}
    return "CONFIG_NFT_NAT) and the program nft: no nf_tables; iptables needs"


@pytest.mark.parametrize(
    "breakage",
    [
        proxy_dies,
        proxy_is_silent,
        proxy_is_another,
        proxy_has_no_scheme,
        proxy_is_no_program,
        proxy_has_no_kubeconfig,
        kernel_lacks_all,
    ],
)
def test_whatever_is_wrong_with_kube_proxy_is_told_on_the_node_and_fails_no_pod(
    run: Run, breakage: Callable[[Run], str]
) -> None:
    words = breakage(run)

    async def story() -> None:
        run.world.kubelet_answer = 200
        await one_running(run)
        await until(lambda: any(words in event["message"] for event in run.world.node_events))
        event = next(event for event in run.world.node_events if words in event["message"])
        assert (event["type"], event["reason"]) == ("Warning", "KubeProxyFailing")
        assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("Node", "h1")
        run.world.launch("t2", "ns/q", "uid-q")
        await until(lambda: run.world.states("t2") == ["STARTING"])
        assert run.world.states("t1") == ["STARTING", "RUNNING"]
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_task_that_is_not_ours_fails_and_a_group_of_tasks_too(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await until(lambda: world.agent)
        task = {"name": "x", "task_id": {"value": "x"}, "agent_id": {"value": "a"}, "data": "e30="}
        world.event("LAUNCH", launch={"task": task})
        await until(lambda: world.states("x") == ["FAILED"])
        assert "not a task of kmsched" in world.last()["message"]
        world.event("LAUNCH_GROUP", launch_group={"task_group": {"tasks": [{"task_id": {"value": "y"}}]}})
        await until(lambda: world.states("y") == ["FAILED"])
        world.event("MESSAGE", message={"data": "aGk="})
        world.event("SOMETHING_NEW")
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_an_update_that_is_made_while_a_message_is_sent_is_sent_next(run: Run) -> None:
    world = run.world
    told = HotSettings(settings_version=3, settings={"agent-idle-timeout": "90s"})

    async def story() -> None:
        await until(lambda: world.agent)
        world.takes_messages.clear()
        world.event("MESSAGE", message={"data": base64.b64encode(hotsettings.encode(told)).decode()})
        await until(lambda: world.messages)
        world.event("LAUNCH_GROUP", launch_group={"task_group": {"tasks": [{"task_id": {"value": "y"}}]}})
        await asyncio.sleep(0.1)
        world.takes_messages.set()
        await until(lambda: world.states("y") == ["FAILED"])
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_sigterm_ends_it_like_shutdown(run: Run) -> None:
    async def story() -> None:
        await one_running(run)
        os.kill(os.getpid(), signal.SIGTERM)

    assert play(run, story) == EXIT_OK


def test_idle_executors_leave(run: Run) -> None:
    async def story() -> None:
        await until(lambda: run.world.agent)

    run.settings = replace(run.settings, idle_timeout_s=20.0)
    assert play(run, story) == EXIT_OK


def test_an_environment_that_is_not_mesos_is_refused(run: Run) -> None:
    run.environ.pop("MESOS_SLAVE_PID")
    with pytest.raises(ConfigRefused, match="MESOS_SLAVE_PID is not set"):
        asyncio.run(run.execute())
