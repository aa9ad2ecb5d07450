"""What kmsched does in Kubernetes, as rights: one row for each verb and resource, with who uses it.

`km manifests` grants them and `km doctor` asks for each; a call that is added somewhere needs its row here.  What the
API server lets everybody do who is authenticated (/version, reviews of one's own rights) has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kmsched.clients.kube import Json

COORDINATION = "coordination.k8s.io"
KUBE_SYSTEM, KUBE_SCHEDULER = "kube-system", "kube-scheduler"
#: namespace of the Leases by which kubelets say that they live
NODE_LEASES = "kube-node-lease"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
#: schedulerName of pods that name none, and the name of the profile that kube-scheduler has unless it is told otherwise
DEFAULT_SCHEDULER_NAME = "default-scheduler"


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource ("pods" or "pods/binding").

    `namespace` "": in all of them. `name`: of this one object alone. `is_vital`: without it pods are not placed.
    `with_default_name`: only used when --scheduler-name is kube-scheduler's own. `with_all_nodes`: with
    --register-nodes=all.
    """

    verb: str
    resource: str
    used_by: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    is_vital: bool = True
    with_default_name: bool = False
    with_all_nodes: bool = False

    def __str__(self) -> str:
        where = f" {self.namespace}/{self.name or '*'}" if self.namespace else ""
        return f"{self.verb} {self.resource}{where}"

    def review(self) -> Json:
        """The SelfSubjectAccessReview that asks for it."""
        resource, _, sub = self.resource.partition("/")
        attributes: dict[str, Any] = {"verb": self.verb, "group": self.group, "resource": resource}
        more = {"subresource": sub, "namespace": self.namespace, "name": self.name}
        attributes.update({key: value for key, value in more.items() if value})
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }


RIGHTS: tuple[Right, ...] = (
    Right("list", "pods", "clients.reflector"),
    Right("watch", "pods", "clients.reflector"),
    Right("get", "pods", "kube_pods.read_pod"),
    Right("patch", "pods", "kube_pods.patch_pod_annotations"),
    Right("create", "pods/binding", "kube_pods.bind"),
    Right("list", "nodes", "clients.reflector"),
    Right("watch", "nodes", "clients.reflector"),
    Right("delete", "nodes", "kube_nodes.delete_node", is_vital=False),
    Right("create", "nodes", "kube_nodes.create_node", with_all_nodes=True),
    *(
        Right(verb, "leases", "kube_nodes.renew_lease", COORDINATION, NODE_LEASES, with_all_nodes=True)
        for verb in ("patch", "create")
    ),
    Right("create", "events", "kube_pods.create_event"),
    Right("patch", "events", "kube_pods.repeat_event"),
    Right(
        "get",
        "leases",
        "kube_lease.living_scheduler",
        group=COORDINATION,
        namespace=KUBE_SYSTEM,
        name=KUBE_SCHEDULER,
        is_vital=False,
        with_default_name=True,
    ),
)

#: what an executor does with its node's own credentials, beside what kubelet does with them
NODE_RIGHTS: tuple[Right, ...] = (
    Right("list", "pods", "clients.reflector"),
    Right("watch", "pods", "clients.reflector"),
    Right("delete", "pods", "kube_pods.delete_pod"),
    Right("list", "nodes", "clients.reflector"),
    Right("watch", "nodes", "clients.reflector"),
    Right("get", "nodes", "executor.node"),
    Right("patch", "nodes", "executor.node"),
    Right("create", "events", "kube_pods.create_event"),
    Right("patch", "events", "kube_pods.repeat_event"),
)


def rights(scheduler_name: str, registers_all: bool) -> tuple[Right, ...]:
    """What a scheduler with these flags does."""
    has_default_name = scheduler_name == DEFAULT_SCHEDULER_NAME
    return tuple(
        right
        for right in RIGHTS
        if (has_default_name or not right.with_default_name) and (registers_all or not right.with_all_nodes)
    )


def rules(granted: Iterable[Right]) -> list[Json]:
    """The rules of a role with exactly these rights, one for each resource."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for right in granted:
        found.setdefault((right.group, right.resource, right.name), []).append(right.verb)
    return [
        {"apiGroups": [group], "resources": [resource], **({"resourceNames": [name]} if name else {}), "verbs": verbs}
        for (group, resource, name), verbs in found.items()
    ]
