"""kube-proxy, one of the programs that executors run, lets pods reach a Service."""

from __future__ import annotations

import hashlib
import secrets

from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

AGENT = "h2"
BACK_S = 120.0
PORT = 8080


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
