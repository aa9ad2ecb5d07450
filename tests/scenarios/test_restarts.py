"""Each part is SIGKILLed and comes back: containers keep their ids, pods stay Running, and new pods run afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.kubernetes import Object
from tests.scenarios.waiting import until
from tests.scenarios.watching import watched

PODS = 6
AGENT = "h1"
BACK_S = 120.0
#: brings the part back and waits until it serves again
Return = Callable[[], None]


def kill_agent(cluster: Cluster) -> Return:
    before = cluster.mesos.agents()[AGENT].get("reregistered_time", 0.0)
    cluster.hosts.kill(AGENT, cluster.hosts.main_pid(AGENT, "mesos-agent"))

    def back() -> None:
        def is_back() -> bool:
            agent = cluster.mesos.agents().get(AGENT)
            return agent is not None and agent.get("reregistered_time", 0.0) > before

        until(is_back, BACK_S, f"the agent on {AGENT} is registered again")

    return back


def kill_master(cluster: Cluster) -> Return:
    subscriptions = cluster.metric("kmsched_subscriptions_total")
    cluster.hosts.kill("m1", cluster.hosts.main_pid("m1", "mesos-master"))

    def back() -> None:
        until(lambda: set(cluster.mesos.agents()) == set(cluster.agents), BACK_S, "all agents are registered again")
        until(
            lambda: cluster.metric("kmsched_subscriptions_total") > subscriptions, BACK_S, "the scheduler is subscribed"
        )

    return back


def kill_kubelet(cluster: Cluster) -> Return:
    pid, executor = cluster.hosts.kubelet_pid(AGENT), cluster.hosts.executor_pid(AGENT)
    cluster.hosts.kill(AGENT, pid)

    def back() -> None:
        until(lambda: cluster.hosts.kubelet_pid(AGENT) not in (0, pid), BACK_S, "another kubelet runs")
        assert cluster.hosts.executor_pid(AGENT) == executor

    return back


def kill_executor(cluster: Cluster) -> Return:
    """Its tasks end, kubelet goes with it; the pods are taken over by tasks of the next executor."""
    tasks = set(cluster.mesos.live_tasks())
    pid = cluster.hosts.executor_pid(AGENT)
    lost = {mesos.pod_uid(task) for task in tasks} & {
        kubernetes.uid(pod) for pod in cluster.api.listed("Pod") if kubernetes.node_name(pod) == AGENT
    }
    assert lost, f"no pod runs on {AGENT}"
    cluster.hosts.kill(AGENT, pid)

    def back() -> None:
        until(lambda: cluster.hosts.executor_pid(AGENT) not in (0, pid), BACK_S, "another executor runs")

        def all_have_new_tasks() -> bool:
            new = {mesos.pod_uid(task) for task in set(cluster.mesos.live_tasks()) - tasks}
            return lost <= new

        until(all_have_new_tasks, BACK_S, f"the {len(lost)} pods of {AGENT} have new tasks")

    return back


def kill_api_server(cluster: Cluster) -> Return:
    cluster.kill_part("kube-apiserver")
    return lambda: cluster.start_part("kube-apiserver")


def kill_scheduler(cluster: Cluster) -> Return:
    pid = cluster.hosts.main_pid(cluster.scheduler_host, "km-scheduler")
    cluster.kill_scheduler()

    def back() -> None:
        host = cluster.scheduler_host
        until(lambda: cluster.hosts.main_pid(host, "km-scheduler") not in (0, pid), BACK_S, "another scheduler runs")

    return back


PARTS: dict[str, Callable[[Cluster], Return]] = {
    "agent": kill_agent,
    "master": kill_master,
    "kubelet": kill_kubelet,
    "executor": kill_executor,
    "api-server": kill_api_server,
    "scheduler": kill_scheduler,
}


@pytest.fixture(scope="module")
def steady(cluster: Cluster) -> Iterator[str]:
    """A namespace with pods that run for all tests of this module."""
    with cluster.namespace(f"steady-{secrets.token_hex(3)}") as name:
        cluster.api.create(workloads.deployment("steady", PODS), name)
        cluster.wait_running(name, PODS)
        cluster.run_pod(name, "on-the-agent", **workloads.on(AGENT))
        yield name
        cluster.heal()


@pytest.mark.parametrize("part", PARTS)
def test_containers_keep_their_ids(cluster: Cluster, steady: str, part: str) -> None:
    cluster.heal()
    cluster.wait_running(steady, PODS + 1)
    cluster.wait_settled(steady)
    before = {each.id for each in cluster.containers(steady)}
    with watched(cluster.api, steady) as watch:
        PARTS[part](cluster)()
        cluster.wait_ready()
        until(lambda: _all_ready(cluster.api.listed("Node")), BACK_S, "all Nodes are Ready")
        cluster.wait_running(steady, PODS + 1)
        cluster.wait_settled(steady, BACK_S)
        assert {each.id for each in cluster.containers(steady)} == before
        assert sum(kubernetes.restarts(pod) for pod in cluster.api.listed("Pod", steady)) == 0
        assert [life.name for life in watch.lives.values() if life.gone_s or life.deleting_s] == []
    cluster.run_pod(steady, f"after-{part}", **workloads.on(AGENT))
    cluster.wait_settled(steady)
    assert before < {each.id for each in cluster.containers(steady)}
    cluster.api.delete("Pod", steady, f"after-{part}")


def _all_ready(nodes: list[Object]) -> bool:
    return all(kubernetes.is_ready(node) for node in nodes)
