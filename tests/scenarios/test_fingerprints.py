"""Executors of two fingerprints at once: new pods keep away and say why, old ones run on; hot settings act on both."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.reflagged import Reflagged, reflagged
from tests.scenarios.waiting import until

DOMAIN = "other.test"
#: executors leave at once when nothing runs there; a launch would hardly have the time
LEAVING = ("--offer-ttl=1s", "--launch-timeout=2s", "--agent-idle-timeout=3s")
#: and here it has
SHORT = ("--offer-ttl=2s", "--refuse-seconds=1s", "--launch-timeout=11s", "--agent-idle-timeout=12s")
DEBUG = "--agent-log-level=debug"
TOLD_S = 30.0
LEFT_S = 60.0


def agents(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Host name -> what `km agents --json` says of it."""
    answer = json.loads(cluster.hosts.must(cluster.scheduler_host, "km", "agents", "--json"))
    return {each["hostname"]: each for each in answer["agents"]}


def wait_left(cluster: Cluster, *hosts: str) -> None:
    """Until these hosts have no executor, and the scheduler knows."""
    for host in hosts:
        until(lambda host=host: cluster.hosts.executor_pid(host) == 0, LEFT_S, f"the executor of {host} has left")  # type: ignore[misc]

    def is_known() -> bool:
        listed = agents(cluster)
        return not any(listed[host]["executor_ids"] for host in hosts)

    until(is_known, TOLD_S, f"no executor is listed on {hosts}")


def wait_settings(cluster: Cluster, host: str) -> None:
    """Until the executor of the host has confirmed the settings of the scheduler that runs now."""
    term = cluster.page("/readyz").json()["term"]
    until(
        lambda: list(agents(cluster)[host]["settings_versions"].values()) == [term],
        TOLD_S,
        f"the executor of {host} has the settings of term {term}",
    )


def written(cluster: Cluster, host: str, pid: int) -> str:
    """What a process of the host has written to the journal; executors inherit the Mesos agent's."""
    return cluster.hosts.must(host, "journalctl", "--no-pager", "-o", "cat", f"_PID={pid}")


def refusals_in_log(cluster: Cluster) -> list[str]:
    """Of the process that runs now."""
    pid = cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    journal = written(cluster, cluster.scheduler_host, pid)
    return re.findall(r"WARNING .*runs an executor of another fingerprint.*", journal)


def test_executors_of_two_fingerprints(cluster: Cluster, namespace: str) -> None:
    old_host, *free = cluster.agents
    cluster.run_pod(namespace, "stays", **workloads.on(old_host))
    before = cluster.app_containers(namespace)
    pid = cluster.hosts.executor_pid(old_host)
    ours = cluster.page("/readyz").json()["fingerprint"]
    with reflagged(cluster) as scheduler:
        # hot: the same identity, another behaviour
        assert scheduler.restart(*LEAVING, DEBUG) == ours
        wait_settings(cluster, old_host)
        until(lambda: " DEBUG " in written(cluster, old_host, pid), TOLD_S, "it writes DEBUG lines")
        wait_left(cluster, *free)
        assert cluster.hosts.executor_pid(old_host) == pid

        # cold: another identity
        theirs, ours = ours, scheduler.restart(*SHORT, f"--cluster-domain={DOMAIN}")
        assert theirs != ours
        refused_with_reasons(cluster, namespace, old_host, ours, theirs)
        elsewhere = cluster.run_pod(namespace, "elsewhere")
        assert kubernetes.node_name(elsewhere) in free
        wait_settings(cluster, old_host)
        assert cluster.app_containers(namespace).items() >= before.items()
        assert cluster.hosts.executor_pid(old_host) == pid

        # the old executor has no pod left and goes; who waited for its agent runs there
        cluster.api.delete("Pod", namespace, "stays")
        cluster.wait_phase(namespace, "waits", "Running")
        assert agents(cluster)[old_host]["fingerprint"] == ours[:16]
        assert all(each["compatible"] for each in agents(cluster).values())
        cluster.wait_settled(namespace)
        leave_nothing(cluster, scheduler, namespace)


def refused_with_reasons(cluster: Cluster, namespace: str, host: str, ours: str, theirs: str) -> None:
    """The same words in an Event, `km explain`, `km agents`, the log (once) and a metric."""
    cluster.api.create(workloads.pod("waits", workloads.spec(**workloads.on(host))), namespace)
    words = re.compile(
        rf"executor of another fingerprint \(--cluster-domain: '{DOMAIN}' here, (not set|'[^']+') there\)"
    )

    def is_told() -> bool:
        reason = cluster.explained(f"{namespace}/waits")["reason"]
        events = cluster.api.events(namespace, "waits", "FailedScheduling")
        if not words.search(reason) or not any(words.search(each) for each in events):
            raise ValueError(f"km explain: {reason!r}, Events: {events}")
        return True

    until(is_told, TOLD_S, "km explain and an Event name the flag and both values")
    found = agents(cluster)[host]
    assert (found["compatible"], found["fingerprint"], len(found["differences"])) == (False, theirs[:16], 1)
    assert words.search(cluster.hosts.must(cluster.scheduler_host, "km", "agents"))
    assert cluster.metric(f'kmsched_agents_by_fingerprint{{fingerprint="{theirs[:16]}",ours="false"}}') == 1
    specs = {each["fingerprint"]: each for each in cluster.page("/api/v1/executors").json()["executors"]}
    assert (specs[ours]["ours"], specs[theirs]["ours"], specs[theirs]["agents"]) == (True, False, 1)
    assert cluster.page(f"/api/v1/executors/{theirs[:16]}").json()["spec"]["schema"] == 2
    declined = [each for each in cluster.decisions("DeclineOffers") if words.search(each["reason"])]
    until(lambda: len(cluster.decisions("DeclineOffers")) > len(declined) + 1, TOLD_S, "it is declined again")
    lines = [line for line in refusals_in_log(cluster) if host in line]
    assert len(lines) == 1, lines
    assert words.search(lines[0])


def leave_nothing(cluster: Cluster, scheduler: Reflagged, namespace: str) -> None:
    """Executors of the other fingerprint would take no pods of later scenarios."""
    for pod in cluster.api.listed("Pod", namespace):
        cluster.api.delete("Pod", namespace, kubernetes.name(pod))
    scheduler.restart(*LEAVING, f"--cluster-domain={DOMAIN}")
    wait_left(cluster, *cluster.agents)
