"""Workloads of several kinds run in real containers, and a deletion takes as long as the pod may take."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.scenarios import kubernetes, mesos, results, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import same, until
from tests.scenarios.watching import Life, PodWatch, watched

PODS = 20
GONE_S = 60.0
#: how much later than at its due moment a pod may be gone on a busy machine
SLACK_S = 20.0
EXIT_KILLED = 137


def test_deployment_of_20_pods_on_3_agents(cluster: Cluster, namespace: str) -> None:
    accepts, launches = (cluster.metric(f"kmsched_{name}_total") for name in ("accepts", "tasks_launched"))
    bindings = cluster.api.bindings()
    with watched(cluster.api, namespace) as watch:
        cluster.api.create(workloads.deployment("web", PODS), namespace)
        pods = cluster.wait_running(namespace, PODS)
        cluster.wait_settled(namespace)
        lives = list(watch.lives.values())
    containers = cluster.app_containers(namespace)
    assert sorted(containers.values()) == sorted(kubernetes.uid(pod) for pod in pods)
    assert {kubernetes.node_name(pod) for pod in pods} == set(cluster.agents)
    assert [len(life.nodes) for life in lives] == [1] * PODS
    assert cluster.api.bindings() - bindings == PODS
    accepts = cluster.metric("kmsched_accepts_total") - accepts
    launches = cluster.metric("kmsched_tasks_launched_total") - launches
    assert launches == PODS
    assert launches / accepts > 1
    results.write("deployment-20", {**_times(lives), "pods": PODS, "pods_per_accept": round(launches / accepts, 2)})


def _times(lives: list[Life]) -> dict[str, dict[str, float]]:
    running = [life.running_s - life.created_s for life in lives if life.running_s is not None]
    bound = [life.bound_s - life.created_s for life in lives if life.bound_s is not None]
    return {"created_to_running": results.spread(running), "created_to_bound": results.spread(bound)}


def test_job_finishes_and_frees_its_resources(cluster: Cluster, namespace: str) -> None:
    cluster.api.create(workloads.job("count", "echo one two three; sleep 1"), namespace)

    def succeeded() -> bool:
        job = cluster.api.get("Job", namespace, "count")
        return job is not None and job["status"].get("succeeded") == 1

    until(succeeded, 120, "the Job has succeeded")
    [pod] = cluster.api.listed("Pod", namespace)
    assert kubernetes.phase(pod) == "Succeeded"

    def states() -> list[str]:
        ended = cluster.mesos.ended_tasks()
        return [state for task, state in ended.items() if mesos.pod_uid(task) == kubernetes.uid(pod)]

    same(states, ["TASK_FINISHED"], 30, "Mesos has seen the task's end")
    same(cluster.mesos.held_for_pods, {"cpus": 0.0, "mem": 0.0}, 30, "what the task held is free")
    assert cluster.app_containers(namespace) == {}


def test_a_stateful_set_keeps_its_names(cluster: Cluster, namespace: str) -> None:
    cluster.api.create(workloads.stateful_set("db", 2), namespace)

    def running(*, but: str = "") -> dict[str, str]:
        """Name -> uid."""
        found = {kubernetes.name(pod): kubernetes.uid(pod) for pod in cluster.running(namespace)}
        members = {name: uid for name, uid in found.items() if name.startswith("db-") and uid != but}
        if set(members) != {"db-0", "db-1"}:
            raise ValueError(f"running: {found}")
        return members

    first = until(running, GONE_S, "db-0 and db-1 run")
    cluster.api.delete("Pod", namespace, "db-0")
    second = until(lambda: running(but=first["db-0"]), GONE_S, "another db-0 runs")
    assert second["db-1"] == first["db-1"]


@pytest.mark.parametrize(
    ("script", "more", "grace_s", "least_s", "most_s", "exit_code"),
    [
        pytest.param("trap 'sleep 3; exit 0' TERM; sleep 1000000 & wait", {}, 40, 3, 3 + SLACK_S, 0, id="own-end"),
        pytest.param(
            workloads.PATIENT,
            {"lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", "3"]}}}},
            40,
            3,
            3 + SLACK_S,
            0,
            id="pre-stop",
        ),
        pytest.param("trap '' TERM; while :; do sleep 1; done", {}, 2, 2, 2 + SLACK_S, EXIT_KILLED, id="deaf-to-term"),
    ],
)
def test_deletion_takes_what_the_pod_may_take(
    cluster: Cluster,
    namespace: str,
    script: str,
    more: dict[str, Any],
    grace_s: int,
    least_s: float,
    most_s: float,
    exit_code: int,
) -> None:
    containers = [workloads.container(script, **more)]
    with watched(cluster.api, namespace) as watch:
        pod = cluster.run_pod(namespace, "leaving", containers=containers, grace_s=grace_s)
        asked = time.monotonic()
        cluster.api.delete("Pod", namespace, "leaving")
        life = _gone(watch, kubernetes.uid(pod))
    assert life.gone_s is not None
    assert least_s <= life.gone_s - asked <= most_s
    assert [state["state"]["terminated"]["exitCode"] for state in kubernetes.container_states(life.last)] == [exit_code]
    cluster.wait_settled(namespace)


def _gone(watch: PodWatch, uid: str) -> Life:
    until(lambda: watch.lives[uid].gone_s is not None, GONE_S, "the pod is gone", 0.05)
    return watch.lives[uid]
