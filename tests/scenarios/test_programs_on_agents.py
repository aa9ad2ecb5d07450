"""What agents run is what was named: another or a short file in HDFS is told with both digests and costs no pod, one in
the agent's own folder is fetched anew, and a right one is not fetched again."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import lifecycle, processes
from testbed.hdfs import Hdfs
from tests.scenarios import kubernetes, mesos, product, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

AGENT = "h2"
FLAGS = "/etc/kmsched/scheduler.flags"
ANOTHER = "#!/bin/sh\nexit 0\n"
TOLD_S = 60.0
BACK_S = 120.0
#: launches on a broken agent while one pod waits for it: more would be a loop without pauses
MOST_LAUNCHES = 12


@pytest.fixture(scope="module")
def storage(cluster: Cluster) -> Hdfs:
    """Executors fetch what they run from HDFS."""
    with processes.locked(cluster.settings.lock, f"testbed {cluster.settings.name!r}"):
        found = lifecycle.up_hdfs(cluster.settings)
    if not path_in_hdfs(cluster, "km"):
        for agent in cluster.agents:
            end_executor(cluster, agent)
        product.playbook(cluster.settings)
    return found


def path_in_hdfs(cluster: Cluster, name: str) -> str:
    """Of the program that the scheduler's flags name; "" when they name none in HDFS."""
    flags = cluster.hosts.must(cluster.scheduler_host, "cat", FLAGS)
    found = re.search(rf"--{name}-path=hdfs://[^/]*(/\S+)", flags)
    return found[1] if found else ""


def end_executor(cluster: Cluster, agent: str = AGENT) -> None:
    """There is no executor on the agent afterwards, and none of its tasks."""
    if pid := cluster.hosts.executor_pid(agent):
        cluster.hosts.kill(agent, pid)
    until(lambda: cluster.hosts.kubelet_pid(agent) == 0, BACK_S, f"{agent} has no executor")


def start_executors(cluster: Cluster, namespace: str) -> None:
    """Every agent has one, and no pod of this namespace."""
    for agent in cluster.agents:
        cluster.api.create(workloads.pod(f"first-{agent}", workloads.spec(**workloads.on(agent))), namespace)
    for agent in cluster.agents:
        cluster.wait_phase(namespace, f"first-{agent}", "Running")
    for agent in cluster.agents:
        cluster.clear_pod(namespace, f"first-{agent}")


@contextlib.contextmanager
def spoiled(storage: Hdfs, path: str, how: str, scratch: Path) -> Iterator[tuple[str, str]]:
    """HDFS has another file there for this block; (digest that is there, digest that is expected)."""
    content = product.KM.read_bytes()[:-1000] if how == "short" else ANOTHER.encode()
    wrong, kept = scratch / "wrong", f"{path}.kept"
    wrong.write_bytes(content)
    storage.call("PUT", path, "RENAME", destination=kept)
    try:
        storage.run("fs", "-put", str(wrong), path)
        yield hashlib.sha256(content).hexdigest(), path.split("/")[-2]
    finally:
        storage.call("DELETE", path, "DELETE")
        storage.call("PUT", kept, "RENAME", destination=path)


@pytest.mark.parametrize(("name", "how"), [("km", "another"), ("km", "short"), ("kubelet", "another")])
def test_a_program_in_hdfs_that_is_not_the_named_one(
    cluster: Cluster, storage: Hdfs, namespace: str, name: str, how: str, tmp_path: Path
) -> None:
    start_executors(cluster, namespace)
    path = path_in_hdfs(cluster, name)
    end_executor(cluster)
    if name == "kubelet":
        cluster.hosts.must(AGENT, "rm", "-rf", f"/var/lib/km/artifacts/{path.split('/')[-2]}")
    with spoiled(storage, path, how, tmp_path) as (found, expected):
        cluster.api.create(workloads.pod("waiting", workloads.spec(**workloads.on(AGENT))), namespace)

        def told() -> bool:
            messages = cluster.api.events(namespace, "waiting", "FailedLaunch")
            if not any(found in message and expected in message for message in messages):
                raise ValueError(f"Events say {messages}")
            return True

        until(told, TOLD_S, f"an Event names {found} and {expected}")
        # others take what can go anywhere
        cluster.api.create(workloads.deployment("anywhere", 2), namespace)

        def run_elsewhere() -> bool:
            pods = [pod for pod in cluster.running(namespace) if kubernetes.name(pod).startswith("anywhere")]
            return len(pods) == 2 and all(kubernetes.node_name(pod) != AGENT for pod in pods)

        until(run_elsewhere, TOLD_S, "two pods run on other agents")
        waiting = cluster.api.get("Pod", namespace, "waiting")
        assert waiting is not None and kubernetes.phase(waiting) == "Pending"
        assert kubernetes.node_name(waiting) == ""
        launches = [task for task in cluster.mesos.ended_tasks() if mesos.pod_uid(task) == kubernetes.uid(waiting)]
        assert 1 <= len(launches) <= MOST_LAUNCHES
    cluster.wait_phase(namespace, "waiting", "Running", BACK_S)


def test_a_wrong_kubelet_on_the_agent_is_fetched_anew_and_a_right_one_is_not(
    cluster: Cluster, storage: Hdfs, namespace: str
) -> None:
    def run(name: str) -> tuple[str, str, str]:
        """Where this executor's kubelet is; its digest; which file of that name it is."""
        cluster.run_pod(namespace, name, **workloads.on(AGENT))
        path = cluster.hosts.must(AGENT, "readlink", f"/proc/{cluster.hosts.kubelet_pid(AGENT)}/exe").strip()
        digest = cluster.hosts.must(AGENT, "sha256sum", path).split()[0]
        identity = cluster.hosts.must(AGENT, "stat", "--format=%i %y", path)
        cluster.clear_pod(namespace, name)
        end_executor(cluster)
        return path, digest, identity

    path, digest, identity = run("first")
    assert path == f"/var/lib/km/artifacts/{digest}/kubelet"
    assert run("second") == (path, digest, identity)
    cluster.hosts.write(AGENT, path, ANOTHER, mode="0755")
    again = run("third")
    assert again[:2] == (path, digest)
    assert again[2] != identity
