"""Nodes that come and go with executors and agents, on real servers."""

from __future__ import annotations

from typing import Any

from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.reflagged import reflagged
from tests.scenarios.waiting import until

#: the idle timeout may not be shorter than a launch may take
FLAGS = ("--launch-timeout=30s", "--agent-idle-timeout=32s")
GONE_S = 150.0
THERE_S = 120.0


def nodes(cluster: Cluster) -> set[str]:
    return {kubernetes.name(each) for each in cluster.api.listed("Node")}


def test_an_idle_executor_takes_its_node_with_it(cluster: Cluster, namespace: str) -> None:
    with reflagged(cluster) as scheduler:
        scheduler.restart(*FLAGS)
        placed = cluster.run_pod(namespace, "short")
        host = kubernetes.node_name(placed)
        assert host in nodes(cluster)
        cluster.clear_pod(namespace, "short")
        until(lambda: host not in nodes(cluster), GONE_S, f"the Node of {host} has gone with its executor", 0.5)
        assert not cluster.hosts.kubelet_pid(host)
        # and comes back with the next pod
        cluster.api.create(workloads.pod("again", workloads.spec(**workloads.on(host))), namespace)
        cluster.wait_phase(namespace, "again", "Running")
        assert host in nodes(cluster)


def daemon_set(name: str) -> dict[str, Any]:
    made = workloads.deployment(name, 1)
    spec = {key: made["spec"][key] for key in ("selector", "template")}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def test_with_all_a_daemon_set_runs_on_every_agent(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    with reflagged(cluster) as scheduler:
        scheduler.restart("--register-nodes=all", *FLAGS)
        until(lambda: nodes(cluster) >= set(cluster.agents), THERE_S, "every agent has a Node", 0.5)
        cluster.api.request("POST", path, daemon_set("everywhere"))
        try:
            pods = cluster.wait_running(namespace, len(cluster.agents))
            assert {kubernetes.node_name(each) for each in pods} == set(cluster.agents)
        finally:
            cluster.api.request("DELETE", f"{path}/everywhere", {"propagationPolicy": "Background"})
        until(lambda: not cluster.api.listed("Pod", namespace), GONE_S, "its pods have gone", 0.5)
        until(lambda: not any(map(cluster.hosts.kubelet_pid, cluster.agents)), GONE_S, "no executor is left", 0.5)
        until(lambda: nodes(cluster) >= set(cluster.agents), THERE_S, "every agent has a Node without a kubelet", 0.5)
