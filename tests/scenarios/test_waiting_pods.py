"""Pods that cannot be placed say why, in `km explain` and in an Event; what is not ours is counted and left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmsched.errors import EXIT_CONFIG
from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

TAINT = {"key": "kept", "value": "free", "effect": "NoSchedule"}
EVENT_S = 30.0


def wait_for_words(cluster: Cluster, namespace: str, name: str, words: str) -> None:
    """Until the pod's FailedScheduling Event and `km explain` say these words."""

    def told() -> bool:
        messages = cluster.api.events(namespace, name, "FailedScheduling")
        if not any(words in message for message in messages):
            raise ValueError(f"Events say {messages}")
        reason = cluster.explained(f"{namespace}/{name}")["reason"]
        if words not in reason:
            raise ValueError(f"km explain says {reason!r}")
        return True

    until(told, EVENT_S, f"pod {name} says {words!r}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param(
            {"containers": [workloads.container(cpu="16")]}, "0/3 agents: 3 insufficient cpu (", id="too-many-cpus"
        ),
        pytest.param(
            {"containers": [workloads.container(memory="64Gi")]}, "0/3 agents: 3 insufficient memory (", id="too-much"
        ),
        pytest.param(
            {"nodeSelector": {"disk": "fast"}}, "0/3 agents: 3 nodeSelector disk=fast does not match", id="selector"
        ),
    ],
)
def test_a_pod_that_fits_nowhere(cluster: Cluster, namespace: str, more: dict[str, Any], words: str) -> None:
    # executors must be there, or the agents' own share of an executor is part of what is missing
    cluster.api.create(workloads.pod("waiting", workloads.spec(**more)), namespace)
    wait_for_words(cluster, namespace, "waiting", words)
    pod = cluster.api.get("Pod", namespace, "waiting")
    assert pod is not None and kubernetes.node_name(pod) == ""
    cluster.run_pod(namespace, "small")


def test_taints_and_cordons_are_named_and_end(cluster: Cluster, namespace: str) -> None:
    for agent in cluster.agents:
        cluster.run_pod(namespace, f"first-{agent}", **workloads.on(agent))
    cordoned, *tainted = cluster.agents
    try:
        cluster.api.patch("Node", "", cordoned, {"spec": {"unschedulable": True}}, kubernetes.STRATEGIC)
        for agent in tainted:
            cluster.api.patch("Node", "", agent, {"spec": {"taints": [TAINT]}}, kubernetes.STRATEGIC)
        cluster.api.create(workloads.pod("waiting"), namespace)
        wait_for_words(
            cluster, namespace, "waiting", f"0/3 agents: {len(tainted)} taint kept=free:NoSchedule, 1 cordoned"
        )
        tolerations = [{"key": "kept", "operator": "Exists"}]
        tolerant = cluster.run_pod(namespace, "tolerant", tolerations=tolerations)
        assert kubernetes.node_name(tolerant) in tainted
        cluster.api.patch("Node", "", cordoned, {"spec": {"unschedulable": None}})
        pod = cluster.wait_phase(namespace, "waiting", "Running")
        assert kubernetes.node_name(pod) == cordoned
    finally:
        for agent in cluster.agents:
            cluster.api.patch("Node", "", agent, {"spec": {"unschedulable": None, "taints": None}})


def test_commands_tell_all_pods_that_wait_and_what_becomes_of_offers(cluster: Cluster, namespace: str) -> None:
    cluster.api.create(workloads.pod("too-big", workloads.spec([workloads.container(cpu="16")])), namespace)
    wait_for_words(cluster, namespace, "too-big", "insufficient cpu (offers, short by")
    km = (cluster.scheduler_host, "km")
    text = cluster.hosts.must(*km, "explain", "--all", "--namespace", namespace, "--verbose")
    assert f"{namespace}/too-big: pending: 0/{len(cluster.agents)} agents: " in text
    assert [agent for agent in cluster.agents if f"    {agent}: insufficient cpu (offers, short by" not in text] == []
    agents = json.loads(cluster.hosts.must(*km, "offers", "--json"))["agents"]
    assert {agent["hostname"] for agent in agents} == set(cluster.agents)
    for agent in agents:
        held = "1 pods wait, none fits: 1 insufficient cpu" in agent["why"]
        assert held or (agent["last"]["fate"], agent["last"]["reason"]) == ("declined", "no pod that waits fits there")
    unknown = cluster.hosts.run(*km, "explain", f"{namespace}/too")
    assert unknown.code == EXIT_CONFIG
    assert f"no pod {namespace}/too is known; there is {namespace}/too-big" in unknown.text


def test_gates_hold_a_pod_back_until_they_are_removed(cluster: Cluster, namespace: str) -> None:
    gated = workloads.spec(schedulingGates=[{"name": "example.com/wait"}])
    cluster.api.create(workloads.pod("gated", gated), namespace)
    until(lambda: "schedulingGates" in cluster.explained(f"{namespace}/gated")["reason"], EVENT_S, "km explain says so")
    cluster.run_pod(namespace, "other")
    assert cluster.explained(f"{namespace}/gated")["state"] == "pending"
    cluster.api.patch("Pod", namespace, "gated", {"spec": {"schedulingGates": []}})
    cluster.wait_phase(namespace, "gated", "Running")


def test_pods_of_others_are_not_placed(cluster: Cluster, namespace: str) -> None:
    cluster.api.create(workloads.pod("foreign", workloads.spec(schedulerName="somebody-else")), namespace)
    cluster.run_pod(namespace, "ours")
    foreign = cluster.api.get("Pod", namespace, "foreign")
    assert foreign is not None and kubernetes.node_name(foreign) == ""
    assert cluster.api.events(namespace, "foreign", "FailedScheduling") == []


def test_a_pod_with_nodename_is_counted(cluster: Cluster, namespace: str) -> None:
    """kubelet runs it without a task; what it takes is not given away a second time."""
    agent = cluster.agents[0]
    cluster.run_pod(namespace, "first", **workloads.on(agent))
    large = workloads.spec([workloads.container(cpu="1200m")], nodeName=agent, schedulerName="somebody-else")
    cluster.api.create(workloads.pod("by-hand", large), namespace)
    cluster.wait_phase(namespace, "by-hand", "Running")
    until(lambda: cluster.explained(f"{namespace}/by-hand")["node"] == agent, EVENT_S, "it is counted")
    second = workloads.spec([workloads.container(cpu="1")], **workloads.on(agent))
    cluster.api.create(workloads.pod("second", second), namespace)
    wait_for_words(cluster, namespace, "second", "insufficient cpu (kubelet, short by")
    cluster.api.delete("Pod", namespace, "by-hand")
    cluster.wait_phase(namespace, "second", "Running")
