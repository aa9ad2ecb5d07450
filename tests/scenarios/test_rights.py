"""The installed scheduler with the rights that km manifests prints, and no others: the API server's audit log has every
call of it and of the executors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kmsched.clients.kube_rights import NODE_RIGHTS, Right, rights
from testbed import controlplane, pki
from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.reflagged import reflagged
from tests.scenarios.waiting import until

USER, ROLE = "km-least", "km-least"
KUBECONFIG = "/run/km-least.kubeconfig"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NODES = "system:nodes"
#: executors among the programs that have a node's credentials
EXECUTOR_AGENT = "aiohttp"
TOLD_S = 60.0

Call = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Audit:
    """The API server's log of who asked what."""

    path: Path

    def calls(self, user: str = "", group: str = "", agent: str = "") -> dict[Call, set[int]]:
        """(verb, group, resource) -> statuses, of one user or of a group's programs."""
        found: dict[Call, set[int]] = {}
        for line in self.path.read_text().splitlines():
            entry = json.loads(line)
            who, what = entry["user"], entry.get("objectRef")
            is_his = who["username"] == user or group in who.get("groups", ())
            if what is None or not is_his or agent not in entry.get("userAgent", ""):
                continue
            if what.get("apiGroup") == "authorization.k8s.io":
                continue
            resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            status = entry.get("responseStatus", {}).get("code", 0)
            found.setdefault((entry["verb"], what.get("apiGroup", ""), resource), set()).add(status)
        return found


def as_calls(granted: tuple[Right, ...]) -> set[Call]:
    return {(each.verb, each.group, each.resource) for each in granted}


@pytest.fixture
def audit(cluster: Cluster) -> Iterator[Audit]:
    """The API server, with a log, for as long as a test lasts."""
    log, policy = cluster.settings.kube / "audit.log", cluster.settings.kube / "audit-policy.json"
    wanted: list[dict[str, Any]] = [
        {"level": "Metadata", "users": [USER]},
        {"level": "Metadata", "userGroups": [NODES]},
        {"level": "None"},
    ]
    content = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": wanted}
    policy.write_text(json.dumps(content))
    log.unlink(missing_ok=True)
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={log}")
    restart(replace(cluster, settings=replace(cluster.settings, api_flags=flags)))
    yield Audit(log)
    restart(cluster)


def restart(cluster: Cluster) -> None:
    cluster.kill_part("kube-apiserver")
    cluster.start_part("kube-apiserver")
    cluster.wait_ready()


@pytest.fixture
def granted(cluster: Cluster) -> Iterator[str]:
    """The kubeconfig, on the scheduler's host, of a user with what km manifests prints."""
    host = cluster.scheduler_host
    command = ["km", "manifests", "--flags-file=/etc/kmsched/scheduler.flags", f"--user={USER}", f"--name={ROLE}"]
    listed = json.loads(cluster.hosts.must(host, *command, "--register-nodes=all", "--format=json"))["items"]
    try:
        for each in listed:
            cluster.api.request("POST", rbac_path(each), each)
        path = pki.user(cluster.settings.kube, controlplane.server(cluster.settings), USER, [])
        cluster.hosts.write(host, KUBECONFIG, path.read_text(), "0600", "kmsched")
        yield KUBECONFIG
    finally:
        for each in listed:
            cluster.api.request("DELETE", f"{rbac_path(each)}/{each['metadata']['name']}")
        cluster.hosts.must(host, "rm", "-f", KUBECONFIG)


def rbac_path(manifest: dict[str, Any]) -> str:
    namespace = manifest["metadata"].get("namespace")
    below = f"/namespaces/{namespace}" if namespace else ""
    return f"{RBAC}{below}/{manifest['kind'].lower()}s"


def test_the_scheduler_needs_what_km_manifests_prints_and_nothing_else(
    cluster: Cluster, namespace: str, granted: str, audit: Audit
) -> None:
    with reflagged(cluster) as scheduler:
        scheduler.restart(f"--kubeconfig={granted}", "--register-nodes=all")
        cluster.api.create(workloads.pod("too-big", workloads.spec([workloads.container(cpu="900")])), namespace)
        names = [f"p{each}" for each in range(3)]
        for name in names:
            cluster.api.create(workloads.pod(name, workloads.spec()), namespace)
        placed = [cluster.wait_phase(namespace, name, "Running") for name in names]
        until(lambda: cluster.api.events(namespace, "too-big", "FailedScheduling"), TOLD_S, "it is told why")
        # a pod that is adopted is patched
        host = kubernetes.node_name(placed[0])
        cluster.hosts.kill(host, cluster.hosts.executor_pid(host))
        until(lambda: ("patch", "", "pods") in audit.calls(USER), TOLD_S, "the pods of the executor are adopted")
        for name in names:
            cluster.clear_pod(namespace, name)
        seen = audit.calls(USER)
        of_nodes = audit.calls(group=NODES, agent=EXECUTOR_AGENT)
    allowed = as_calls(rights("default-scheduler", registers_all=True))
    assert set(seen) <= allowed, set(seen) - allowed
    refused = {call for call, statuses in seen.items() if statuses & {401, 403}}
    assert not refused
    print("granted and not used here:", sorted(allowed - set(seen)))
    assert {("create", "", "pods/binding"), ("watch", "", "pods"), ("create", "", "events")} <= set(seen)
    assert ("get", "coordination.k8s.io", "leases") in seen
    assert set(of_nodes) <= as_calls(NODE_RIGHTS), set(of_nodes) - as_calls(NODE_RIGHTS)
    assert not [call for call, statuses in of_nodes.items() if statuses & {401, 403}]
