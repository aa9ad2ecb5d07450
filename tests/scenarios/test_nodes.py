"""Nodes that come and go with executors and agents, on real servers."""

from __future__ import annotations

from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.reflagged import reflagged
from tests.scenarios.waiting import until

#: the idle timeout may not be shorter than a launch may take
FLAGS = ("--launch-timeout=15s", "--agent-idle-timeout=16s")
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


def test_with_all_a_daemon_set_runs_on_every_agent(cluster: Cluster, namespace: str) -> None:
    with reflagged(cluster) as scheduler:
        scheduler.restart("--register-nodes=all", *FLAGS)
        until(lambda: nodes(cluster) >= set(cluster.agents), THERE_S, "every agent has a Node", 0.5)
        cluster.api.create(workloads.daemon_set("everywhere"), namespace)
        pods = cluster.wait_running(namespace, len(cluster.agents))
        assert {kubernetes.node_name(each) for each in pods} == set(cluster.agents)
        cluster.api.delete("DaemonSet", namespace, "everywhere")
        until(lambda: not cluster.api.listed("Pod", namespace), GONE_S, "its pods have gone", 0.5)
        until(lambda: not any(map(cluster.hosts.kubelet_pid, cluster.agents)), GONE_S, "no executor is left", 0.5)
        until(lambda: nodes(cluster) >= set(cluster.agents), THERE_S, "every agent has a Node without a kubelet", 0.5)
