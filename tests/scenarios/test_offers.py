"""What Mesos offers beside cpus and memory: ports are taken with the tasks, and a pod is on offers of its roles."""

from __future__ import annotations

from typing import Any

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.kubernetes import Object
from tests.scenarios.reflagged import reflagged
from tests.scenarios.test_waiting_pods import wait_for_words
from tests.scenarios.waiting import until

PREFIX = "k8s.mesosphere.io/"
PORT = 31500
PORTS_BACK_S = 30.0


def with_ports(*ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    return workloads.spec([workloads.container(ports=list(ports))], **more)


def task_of(cluster: Cluster, pod: Object) -> dict[str, Any]:
    """What the Mesos master tells of the pod's task."""
    tasks = cluster.mesos.framework()["tasks"]
    (task,) = [each for each in tasks if mesos.pod_uid(each["id"]) == kubernetes.uid(pod)]
    found: dict[str, Any] = task
    return found


def test_host_ports_are_taken_of_the_offers(cluster: Cluster, namespace: str) -> None:
    fixed = with_ports({"containerPort": 80, "hostPort": PORT})
    cluster.api.create(workloads.pod("fixed", fixed), namespace)
    pod = cluster.wait_phase(namespace, "fixed", "Running")
    assert task_of(cluster, pod)["resources"]["ports"] == f"[{PORT}-{PORT}]"
    agent = kubernetes.node_name(pod)

    found = with_ports({"containerPort": 80, "name": "http"}, **workloads.on(agent))
    cluster.api.create(workloads.pod("found", found, {PREFIX + "portMapping": "wildcard"}), namespace)
    pod = cluster.wait_phase(namespace, "found", "Running")
    port = pod["metadata"]["annotations"][PREFIX + "port_TCP_80"]
    assert pod["metadata"]["annotations"][PREFIX + "portName_TCP_http"] == port
    assert task_of(cluster, pod)["resources"]["ports"] == f"[{port}-{port}]"

    cluster.api.create(workloads.pod("outside", with_ports({"containerPort": 80, "hostPort": 8080})), namespace)
    wait_for_words(cluster, namespace, "outside", "host port 8080/TCP not in the offered ports (")

    for name in ("fixed", "found"):
        cluster.clear_pod(namespace, name)
    until(lambda: "ports" not in cluster.mesos.agents()[agent]["used_resources"], PORTS_BACK_S, "the ports are back")


def test_pods_are_placed_on_offers_of_their_roles(cluster: Cluster, namespace: str) -> None:
    agent = cluster.agents[0]
    with reflagged(cluster) as flags:
        before = cluster.page("/readyz").json()["fingerprint"]
        assert flags.restart("--mesos-framework-roles=*,web") == before
        for name, roles in (("anybody", None), ("web", "web"), ("either", "web,*")):
            manifest = workloads.pod(name, workloads.spec(**workloads.on(agent)))
            if roles is not None:
                manifest["metadata"]["annotations"] = {PREFIX + "roles": roles}
            cluster.api.create(manifest, namespace)
            pod = cluster.wait_phase(namespace, name, "Running")
            # which of several it is, Mesos decides by what it offers first
            assert task_of(cluster, pod)["role"] in (roles or "*").split(",")
        executors = [each for each in cluster.mesos.framework()["executors"] if each["slave_id"]]
        here = cluster.mesos.agents()[agent]["id"]
        assert len([each for each in executors if each["slave_id"] == here]) == 1

        nowhere = workloads.pod("nowhere")
        nowhere["metadata"]["annotations"] = {PREFIX + "roles": "db"}
        cluster.api.create(nowhere, namespace)
        wait_for_words(cluster, namespace, "nowhere", "the pod wants offers of role db, and the framework has *, web")
        for name in ("anybody", "web", "either"):
            cluster.clear_pod(namespace, name)
