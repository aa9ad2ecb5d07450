"""km doctor on the scheduler's host: silent about what is installed, and each planted fault is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kmsched.clients.kube_rights import RIGHTS, rules
from kmsched.errors import EXIT_MISMATCH, EXIT_OK
from testbed import controlplane, pki
from tests.scenarios import lab
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.second import Second
from tests.scenarios.strict import strict_master

RBAC = "/apis/rbac.authorization.k8s.io/v1"
USER, ROLE = "km-doctor-scenario", "km-doctor-scenario"
TIGHT = "km-tight"
ZEROS = "0" * 64
NO_RIGHT = "create pods/binding"

Findings = list[dict[str, str]]


def examined(second: Second, *flags: str) -> tuple[int, Findings]:
    ended = second.km("doctor", "--json", "--flags-file=/etc/kmsched/scheduler.flags", *flags)
    try:
        return ended.code, json.loads(ended.text)
    except ValueError:
        raise AssertionError(f"exit code {ended.code}: {ended.text}") from None


def errors(findings: Findings) -> dict[str, str]:
    return {each["check"]: each["message"] for each in findings if each["severity"] == "error"}


def test_what_is_installed_is_in_order(cluster: Cluster, second: Second) -> None:
    code, findings = examined(second)
    assert (code, errors(findings)) == (EXIT_OK, {}), findings
    said = {each["check"]: each["message"] for each in findings}
    pid = cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    assert said["state-lock"] == f"--state-dir=/var/lib/kmsched is held by pid {pid}"
    not_made = {each["check"] for each in findings if each["message"].startswith("not checked")}
    assert not_made <= {"agents-unseen", "artifact-only-here"}, findings
    assert "versions" not in said and "clocks" not in said, findings


@pytest.fixture
def without_binding(cluster: Cluster, second: Second) -> Iterator[str]:
    """The kubeconfig of a user who has every right of the scheduler but one."""
    granted = [right for right in RIGHTS if str(right) != NO_RIGHT]
    bound = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }
    made: dict[str, dict[str, Any]] = {"clusterroles": {"rules": rules(granted)}, "clusterrolebindings": bound}
    try:
        for kind, content in made.items():
            cluster.api.request("POST", f"{RBAC}/{kind}", {"metadata": {"name": ROLE}, **content})
        path = pki.user(cluster.settings.kube, controlplane.server(cluster.settings), USER, [])
        second.write("kubeconfig", path.read_text())
        yield f"{second.folder}/kubeconfig"
    finally:
        for kind in made:
            cluster.api.request("DELETE", f"{RBAC}/{kind}/{ROLE}")


@pytest.fixture
def tight_role(cluster: Cluster) -> Iterator[str]:
    """A role whose quota has no room for an executor."""
    operate(cluster, {"role": TIGHT, "limits": {"cpus": {"value": 0.1}}})
    yield TIGHT
    operate(cluster, {"role": TIGHT})


def operate(cluster: Cluster, quota: dict[str, Any]) -> None:
    call = {"type": "UPDATE_QUOTA", "update_quota": {"force": True, "quota_configs": [quota]}}
    headers = {"content-type": "application/json"}
    body = json.dumps(call).encode()
    replies = [
        lab.ask(cluster.settings, f"{url}/api/v1", method="POST", body=body, headers=headers)
        for url in cluster.mesos.masters
    ]
    assert any(reply.status == 200 for reply in replies), replies


def test_planted_faults_are_named_all_at_once(second: Second, without_binding: str, tight_role: str) -> None:
    lab_address = controlplane.server(second.cluster.settings)
    unread = f"http://{second.cluster.settings.gateway}:1/{ZEROS}/km"
    code, findings = examined(
        second,
        f"--api-servers={lab_address},https://127.0.0.1:6443",
        f"--kubeconfig={without_binding}",
        f"--mesos-role={tight_role}",
        f"--km-path={unread}",
        f"--kubelet-path=file:///etc/hostname#sha256={ZEROS}",
        f"--state-dir={second.state_dir}",
        f"--framework-name={second.name}",
        f"--scheduler-name={second.name}",
    )
    found = errors(findings)
    assert code == EXIT_MISMATCH
    expected = {
        "loopback": "--api-servers=https://127.0.0.1:6443: executors are told this address",
        "kubernetes-rights": f"may not: {NO_RIGHT}",
        "mesos-quota": f"role '{TIGHT}' is limited to cpus: 0.1, and an executor alone needs cpus",
        "artifact-readable": f"--km-path={unread} cannot be read: ",
        "artifact-digest": "--kubelet-path: what lies at file:///etc/hostname has SHA-256 ",
    }
    assert set(found) == set(expected), findings
    assert {check for check, words in expected.items() if words not in found[check]} == set(), findings
    warned = {each["check"] for each in findings if each["severity"] == "warning"}
    assert {"kubernetes-api", "artifact-only-here"} <= warned, findings


@pytest.fixture
def strict_url(cluster: Cluster) -> Iterator[str]:
    """A master beside the cluster's own, that authenticates, and allows one role to one principal."""
    acls = {"register_frameworks": [{"principals": {"values": ["km"]}, "roles": {"values": ["free"]}},
                                    {"principals": {"type": "NONE"}, "roles": {"type": "ANY"}}]}  # fmt: skip
    with strict_master(cluster, "strict-master", 5060, acls) as url:
        yield url


def test_a_master_that_refuses(second: Second, strict_url: str) -> None:
    """Right principal, wrong secret, forbidden role; then all of them right."""
    second.write("secret", "wrong\n")
    flags = [
        f"--mesos-master={strict_url}",
        "--mesos-authentication-principal=km",
        f"--mesos-authentication-secret-file={second.folder}/secret",
    ]
    code, findings = examined(second, *flags, "--mesos-role=forbidden")
    found = errors(findings)
    assert code == EXIT_MISMATCH
    assert set(found) == {"mesos-principal", "mesos-role"}, findings
    assert "answered 401" in found["mesos-principal"] and "principal 'km'" in found["mesos-principal"]
    assert found["mesos-role"].endswith("does not let principal 'km' register with --mesos-role=forbidden")
    second.write("secret", "right\n")
    code, findings = examined(second, *flags, "--mesos-role=free")
    assert (code, errors(findings)) == (EXIT_OK, {}), findings
