"""`km manifests`: what an operator applies is what the table of rights says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kmsched.cli.km import km, run
from kmsched.clients.kube_rights import NODE_RIGHTS, Right, rights
from kmsched.errors import EXIT_USAGE

Json = dict[str, Any]


def printed(*arguments: str) -> list[Json]:
    result = CliRunner().invoke(km, ["manifests", *arguments])
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def named(found: list[Json], kind: str, name: str = "km-scheduler") -> Json:
    [only] = [each for each in found if each["kind"] == kind and each["metadata"]["name"] == name]
    return only


def granted(found: list[Json]) -> set[tuple[str, str, str, str, str]]:
    """(verb, group, resource, namespace, name) of every rule."""
    return {
        (verb, *rule["apiGroups"], *rule["resources"], role["metadata"].get("namespace", ""), name)
        for role in found
        if role["kind"] in ("ClusterRole", "Role")
        for rule in role["rules"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def as_granted(wanted: tuple[Right, ...]) -> set[tuple[str, str, str, str, str]]:
    return {(each.verb, each.group, each.resource, each.namespace, each.name) for each in wanted}


@pytest.mark.parametrize("scheduler_name", ["default-scheduler", "mesos"])
@pytest.mark.parametrize("nodes", ["lazy", "all"])
def test_the_scheduler_is_granted_its_rights_exactly(scheduler_name: str, nodes: str) -> None:
    found = printed(f"--scheduler-name={scheduler_name}", f"--register-nodes={nodes}")
    assert granted(found) == as_granted(rights(scheduler_name, nodes == "all"))
    account = named(found, "ServiceAccount")
    assert account["metadata"] == {"name": "km-scheduler", "namespace": "kube-system"}
    bindings = [each for each in found if each["kind"].endswith("RoleBinding")]
    roles = [each for each in found if each["kind"].endswith("Role")]
    for role, binding in zip(roles, bindings, strict=True):
        assert binding["kind"] == role["kind"] + "Binding"
        assert binding["metadata"] == role["metadata"]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (role["kind"], role["metadata"]["name"])
        assert binding["subjects"] == [{"kind": "ServiceAccount", "namespace": "kube-system", "name": "km-scheduler"}]


def test_a_user_needs_no_service_account() -> None:
    found = printed("--user=kmsched", "--name=km2")
    assert {each["kind"] for each in found} & {"ServiceAccount"} == set()
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "kmsched"}
    assert named(found, "ClusterRoleBinding", "km2")["subjects"] == [subject]


def test_names_and_namespace_are_free() -> None:
    found = printed("--name=km2", "--namespace=mesos")
    assert named(found, "ServiceAccount", "km2")["metadata"]["namespace"] == "mesos"
    assert named(found, "ClusterRoleBinding", "km2")["subjects"][0]["namespace"] == "mesos"


def test_nodes_are_granted_rights_only_where_no_node_authorizer_is() -> None:
    assert granted(printed("--nodes=authorizer")) == as_granted(rights("default-scheduler", registers_all=False))
    found = printed("--nodes=rbac")
    assert granted(found) == as_granted(rights("default-scheduler", registers_all=False)) | as_granted(NODE_RIGHTS)
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:nodes"}
    for name, role in (("km-scheduler-nodes", "km-scheduler-nodes"), ("km-scheduler-kubelets", "system:node")):
        binding = named(found, "ClusterRoleBinding", name)
        assert (binding["subjects"], binding["roleRef"]["name"]) == ([group], role)


def test_json_is_one_list() -> None:
    result = CliRunner().invoke(km, ["manifests", "--format=json"])
    listed = json.loads(result.stdout)
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    assert listed["items"] == printed()


def test_the_flags_of_the_scheduler_are_read(tmp_path: Any) -> None:
    file = tmp_path / "scheduler.flags"
    file.write_text("--scheduler-name=mesos\n")
    assert printed(f"--flags-file={file}") == printed("--scheduler-name=mesos")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--name=Km", "--name: 'Km' cannot be right; write lower case letters, digits, - and ."),
        ("--format=xml", "--format"),
        ("--nodes=all", "--nodes"),
    ],
)
def test_what_cannot_be_is_refused(argument: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", argument]) == EXIT_USAGE
    assert words in capsys.readouterr().err
