"""`km manifests`: the least rights in Kubernetes, for the scheduler and for nodes, to be applied by an operator.

Knows the forms of RBAC's objects.  Which rights there are is the table in `clients.kube_rights`; nothing is asked of
any server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import yaml

from kmsched.cli.command import FlagCommand
from kmsched.errors import EXIT_OK
from kmsched.flag import Flag
from kmsched.flags import SCHEDULER, Parsed
from kmsched.values import Kind

if TYPE_CHECKING:
    from kmsched.clients.kube_rights import Right

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
NODES_GROUP, KUBELET_ROLE = "system:nodes", "system:node"
YAML, JSON = "yaml", "json"
_NAME = (r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", "write lower case letters, digits, - and .")
OPTIONS = (
    Flag("name", Kind.TEXT, "km-scheduler", "Name of the roles, their bindings and the ServiceAccount.", pattern=_NAME),
    Flag("namespace", Kind.TEXT, "kube-system", "Namespace of the ServiceAccount; it must exist.", pattern=_NAME),
    Flag("user", Kind.TEXT, None, "Grant the rights to this user (of a certificate) instead of a ServiceAccount."),
    Flag(
        "nodes",
        Kind.TEXT,
        "authorizer",
        "What lets nodes in: the API server's Node authorizer, which needs nothing, or RBAC.",
        choices=("authorizer", "rbac"),
    ),
    Flag("format", Kind.TEXT, YAML, "What is printed.", choices=(YAML, JSON)),
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object, and words for who reads it."""

    words: str
    content: Json


def printed(parsed: Parsed) -> int:
    found = list(manifests(parsed))
    click.echo(FORMATS[parsed["format"]](found), nl=False)
    return EXIT_OK


def as_yaml(found: list[Manifest]) -> str:
    dumped = ((each, yaml.safe_dump(each.content, sort_keys=False, default_flow_style=None)) for each in found)
    return "".join(f"---\n# {each.words}\n{text}" for each, text in dumped)


def as_json(found: list[Manifest]) -> str:
    listed = {"apiVersion": "v1", "kind": "List", "items": [each.content for each in found]}
    return json.dumps(listed, indent=2) + "\n"


FORMATS: dict[str, Callable[[list[Manifest]], str]] = {YAML: as_yaml, JSON: as_json}


def manifests(parsed: Parsed) -> Iterator[Manifest]:
    """All objects, in the order in which they can be made."""
    from kmsched.clients.kube_rights import NODE_RIGHTS, rights

    name, namespace = parsed["name"], parsed["namespace"]
    subject = {"kind": "User", "apiGroup": RBAC, "name": parsed["user"]}
    if parsed["user"] is None:
        subject = {"kind": "ServiceAccount", "namespace": namespace, "name": name}
        yield Manifest(
            f"whom the scheduler is; a token: kubectl -n {namespace} create token {name} --duration=8760h",
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        )
    wanted = rights(parsed["scheduler-name"], parsed["register-nodes"] == "all")
    # those of all namespaces first
    for where in sorted({right.namespace for right in wanted}):
        granted = [right for right in wanted if right.namespace == where]
        words = "all that the scheduler does" + (f" in namespace {where}" if where else "")
        yield _role(name, where, granted, words)
        yield _binding(name, where, subject, name, f"granted to {subject['kind']} {subject['name']}")
    if parsed["nodes"] == "rbac":
        nodes = {"kind": "Group", "apiGroup": RBAC, "name": NODES_GROUP}
        of_nodes = f"{name}-nodes"
        yield _role(of_nodes, "", list(NODE_RIGHTS), "all that executors do, with the credentials of their nodes")
        yield _binding(of_nodes, "", nodes, of_nodes, f"granted to group {NODES_GROUP}")
        yield _binding(f"{name}-kubelets", "", nodes, KUBELET_ROLE, "what kubelets do, with the same credentials")


def _role(name: str, namespace: str, granted: list[Right], words: str) -> Manifest:
    from kmsched.clients.kube_rights import rules

    return Manifest(words, {**_head(_kind("Role", namespace), name, namespace), "rules": rules(granted)})


def _binding(name: str, namespace: str, subject: Json, role: str, words: str) -> Manifest:
    reference = {"apiGroup": RBAC, "kind": _kind("Role", namespace), "name": role}
    head = _head(_kind("RoleBinding", namespace), name, namespace)
    return Manifest(words, {**head, "roleRef": reference, "subjects": [subject]})


def _head(kind: str, name: str, namespace: str) -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}


def _kind(kind: str, namespace: str) -> str:
    return kind if namespace else f"Cluster{kind}"


manifests_command = FlagCommand(
    "manifests",
    printed,
    "Print the least rights in Kubernetes for a scheduler with these flags, and for nodes: km manifests | kubectl apply"
    " -f -",
    SCHEDULER,
    also=OPTIONS,
    complete=False,
)
