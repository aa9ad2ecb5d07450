"""What agents run is what was named: another or a short km or kubelet is told with both digests, and no pod is lost.

And kube-proxy, which is one of these programs, lets pods reach a Service.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator

import pytest

from tests.scenarios import kubernetes, mesos, product, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

AGENT = "h2"
FOLDER = "/var/lib/km/artifacts"
TOLD_S = 60.0
BACK_S = 120.0
#: launches on a broken agent while one pod waits for it: more would be a loop without pauses
MOST_LAUNCHES = 12
PORT = 8080


def end_executor(cluster: Cluster) -> None:
    """There is no executor on AGENT afterwards, and none of its tasks."""
    if pid := cluster.hosts.executor_pid(AGENT):
        cluster.hosts.kill(AGENT, pid)
    until(lambda: cluster.hosts.kubelet_pid(AGENT) == 0, BACK_S, f"{AGENT} has no executor")


def path_of(cluster: Cluster, name: str) -> str:
    """Where AGENT's executor has the program from, while it runs."""
    if name == "km":
        return f"{FOLDER}/{product.sha256()}/km"
    return cluster.hosts.must(AGENT, "readlink", f"/proc/{cluster.hosts.kubelet_pid(AGENT)}/exe").strip()


@contextlib.contextmanager
def spoiled(cluster: Cluster, path: str, how: str) -> Iterator[tuple[str, str]]:
    """AGENT's program is another for this block; (digest that is there, digest that is expected)."""
    cluster.hosts.must(AGENT, "cp", "-p", path, f"{path}.kept")
    try:
        if how == "short":
            cluster.hosts.must(AGENT, "truncate", "-s", "-1000", path)
        else:
            cluster.hosts.write(AGENT, path, "#!/bin/sh\nexit 0\n", mode="0755")
        found = cluster.hosts.must(AGENT, "sha256sum", path).split()[0]
        yield found, path.split("/")[-2]
    finally:
        cluster.hosts.must(AGENT, "mv", f"{path}.kept", path)


@pytest.mark.parametrize(("name", "how"), [("km", "another"), ("km", "short"), ("kubelet", "another")])
def test_a_program_that_is_not_the_named_one(cluster: Cluster, namespace: str, name: str, how: str) -> None:
    cluster.run_pod(namespace, "first", **workloads.on(AGENT))
    cluster.clear_pod(namespace, "first")
    path = path_of(cluster, name)
    end_executor(cluster)
    with spoiled(cluster, path, how) as (found, expected):
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
        assert cluster.app_containers(namespace).keys() == {
            each.id for each in cluster.containers(namespace) if each.kind == "container" and each.host != AGENT
        }
    cluster.wait_phase(namespace, "waiting", "Running", BACK_S)


def answering(marker: str) -> str:
    return f"mkdir -p /www && echo {marker} > /www/index.html && exec httpd -f -p {PORT} -h /www"


def asking(address: str, marker: str) -> str:
    """Ends with 0 when the marker came, by TCP, through the Service's address."""
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} 80 | grep -q {marker} && exit 0"
    return f"for i in $(seq 40); do {ask}; sleep 1; done; exit 1"


def test_a_service_is_answered_from_every_agent(cluster: Cluster, namespace: str) -> None:
    marker = hashlib.sha256(secrets.token_bytes(8)).hexdigest()[:16]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": PORT}]},
    }
    address = cluster.api.create(service, namespace)["spec"]["clusterIP"]
    server = workloads.spec([workloads.container(answering(marker))])
    cluster.api.create(workloads.pod("web", server, labels={"app": "web"}), namespace)
    cluster.wait_phase(namespace, "web", "Running")
    for agent in cluster.agents:
        asker = [workloads.container(asking(address, marker))]
        spec = workloads.spec(asker, restartPolicy="Never", **workloads.on(agent))
        cluster.api.create(workloads.pod(f"from-{agent}", spec), namespace)
    for agent in cluster.agents:
        cluster.wait_phase(namespace, f"from-{agent}", "Succeeded")
    # and again when kube-proxy was killed, which no pod notices
    pid = cluster.hosts.proxy_pid(AGENT)
    cluster.hosts.kill(AGENT, pid)
    until(lambda: cluster.hosts.proxy_pid(AGENT) not in (0, pid), BACK_S, "another kube-proxy runs")
    asker = [workloads.container(asking(address, marker))]
    cluster.api.create(
        workloads.pod("again", workloads.spec(asker, restartPolicy="Never", **workloads.on(AGENT))), namespace
    )
    cluster.wait_phase(namespace, "again", "Succeeded")
    web = cluster.api.get("Pod", namespace, "web")
    assert web is not None and kubernetes.restarts(web) == 0
