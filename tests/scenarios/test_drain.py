"""An operator drains a Mesos agent: pods get their time, Deployments go on elsewhere, and the agent comes back."""

from __future__ import annotations

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until
from tests.scenarios.watching import watched

#: needs this long after SIGTERM; only a container that was left its time ends with this code
LAST_WORDS, OWN_CODE = 3, 7
SLOW = f"trap 'sleep {LAST_WORDS}; exit {OWN_CODE}' TERM; sleep 1000000 & wait"
OWN_GRACE_S, MAX_GRACE_S = 20, 30
#: on two agents, so that two executors start at a time
PODS = 2
GONE_S = 60.0
TOLD_S = 30.0


def slow() -> workloads.Manifest:
    return workloads.spec([workloads.container(SLOW)], grace_s=OWN_GRACE_S)


def test_a_drained_agent_leaves_pods_their_time_and_takes_new_ones_when_it_is_reactivated(
    cluster: Cluster, namespace: str
) -> None:
    cluster.api.create(workloads.deployment("web", PODS, slow()), namespace)
    with watched(cluster.api, namespace) as pods:
        first = cluster.wait_running(namespace, PODS)[0]
        host, uid, name = kubernetes.node_name(first), kubernetes.uid(first), kubernetes.name(first)
        (task,) = (each for each in cluster.mesos.live_tasks() if mesos.pod_uid(each) == uid)
        with cluster.mesos.drained(host, MAX_GRACE_S):
            until(lambda: pods.lives[uid].deleting_s, GONE_S, "the pod is being deleted")
            assert pods.lives[uid].last["metadata"]["deletionGracePeriodSeconds"] == OWN_GRACE_S
            until(lambda: not cluster.api.get("Pod", namespace, name), GONE_S, "the pod has gone")
            assert {kubernetes.node_name(each) for each in cluster.wait_running(namespace, PODS)}.isdisjoint({host})
            until(lambda: not cluster.hosts.executor_pid(host), GONE_S, "the executor has left the drained agent")
        (ended,) = kubernetes.container_states(pods.lives[uid].last)
    assert ended["state"]["terminated"]["exitCode"] == OWN_CODE
    assert cluster.mesos.ended_tasks()[task] == "TASK_KILLED"
    cluster.api.create(workloads.pod("again", workloads.spec(**workloads.on(host))), namespace)
    cluster.wait_phase(namespace, "again", "Running")


def test_a_drain_without_a_limit_kills_without_a_policy_and_ends_no_pod(cluster: Cluster, namespace: str) -> None:
    pod = cluster.run_pod(namespace, "stays")
    host, uid = kubernetes.node_name(pod), kubernetes.uid(pod)
    (task,) = (each for each in cluster.mesos.live_tasks() if mesos.pod_uid(each) == uid)
    with cluster.mesos.drained(host, None):
        told = f"task {task} is not killed: pod {namespace}/stays is here"
        until(lambda: told in cluster.hosts.journal(host, "mesos-agent"), TOLD_S, "the executor has got the KILL")
        found = cluster.api.get("Pod", namespace, "stays")
        assert found is not None
        assert kubernetes.phase(found) == "Running"
        assert not kubernetes.is_terminating(found)
        cluster.clear_pod(namespace, "stays")
        # the agent takes no task before this executor has left, which knows of no drain
        cluster.hosts.must(host, "kill", "-TERM", str(cluster.hosts.executor_pid(host)))
        until(lambda: not cluster.hosts.kubelet_pid(host), GONE_S, "the executor has left")
