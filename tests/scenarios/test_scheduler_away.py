"""While the scheduler is away, pods come and go; when it is back, it knows what is true now."""

from __future__ import annotations

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

PODS = 6
DELETED = 3


def test_restart_changes_nothing(cluster: Cluster, namespace: str) -> None:
    cluster.api.create(workloads.deployment("steady", PODS), namespace)
    cluster.wait_running(namespace, PODS)
    cluster.wait_settled(namespace)
    containers, tasks = cluster.app_containers(namespace), cluster.mesos.live_tasks()
    term = cluster.page("/readyz").json()["term"]
    cluster.systemctl("restart")
    cluster.wait_ready()
    assert cluster.page("/readyz").json()["term"] > term
    cluster.wait_settled(namespace)
    assert cluster.mesos.live_tasks() == tasks
    assert cluster.app_containers(namespace) == containers


def test_pods_deleted_and_created_meanwhile(cluster: Cluster, namespace: str) -> None:
    for number in range(PODS):
        cluster.api.create(workloads.pod(f"pod-{number}"), namespace)
    cluster.wait_running(namespace, PODS)
    cluster.wait_settled(namespace)
    leaving = {f"pod-{number}" for number in range(DELETED)}
    pods = {kubernetes.name(pod): kubernetes.uid(pod) for pod in cluster.api.listed("Pod", namespace)}
    staying = {uid for name, uid in pods.items() if name not in leaving}
    kept = {id_ for id_, uid in cluster.app_containers(namespace).items() if uid in staying}
    cluster.systemctl("stop")
    for name in leaving:
        cluster.api.delete("Pod", namespace, name)
    until(lambda: len(cluster.api.listed("Pod", namespace)) == len(staying), 60, "kubelet ends pods without us")
    cluster.api.create(workloads.pod("later"), namespace)
    assert set(cluster.app_containers(namespace)) == kept
    assert {mesos.pod_uid(task) for task in cluster.mesos.live_tasks()} >= staying
    cluster.systemctl("start")
    cluster.wait_ready()
    cluster.wait_phase(namespace, "later", "Running")
    cluster.wait_settled(namespace)
    assert kept < set(cluster.app_containers(namespace))
    reasons = [each["reason"] for each in cluster.decisions("ReconcileTasks")]
    assert reasons[:2] == ["subscribed: every task", "end mark"]
