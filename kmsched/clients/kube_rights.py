"""What the scheduler does in Kubernetes, as rights: one row for each verb and resource, with who uses it.

`km doctor` asks for each of them, and the ClusterRole in docs/doctor.md is made of them; a call that is added
somewhere needs its row here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kmsched.clients.kube import Json


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource ("pods" or "pods/binding") of the core group, in all namespaces."""

    verb: str
    resource: str
    used_by: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"

    def review(self) -> Json:
        """The SelfSubjectAccessReview that asks for it."""
        resource, _, sub = self.resource.partition("/")
        attributes: dict[str, Any] = {"verb": self.verb, "group": "", "resource": resource}
        if sub:
            attributes["subresource"] = sub
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

RIGHTS: tuple[Right, ...] = (
    Right("list", "pods", "clients.reflector"),
    Right("watch", "pods", "clients.reflector"),
    Right("get", "pods", "kube_pods.read_pod"),
    Right("patch", "pods", "kube_pods.patch_pod_annotations"),
    Right("create", "pods/binding", "kube_pods.bind"),
    Right("list", "nodes", "clients.reflector"),
    Right("watch", "nodes", "clients.reflector"),
    Right("create", "events", "kube_pods.create_event"),
    Right("patch", "events", "kube_pods.repeat_event"),
)


def cluster_role(name: str) -> Iterator[str]:
    """The lines of a ClusterRole with exactly these rights."""
    yield "apiVersion: rbac.authorization.k8s.io/v1"
    yield "kind: ClusterRole"
    yield "metadata:"
    yield f"  name: {name}"
    yield "rules:"
    for resource in dict.fromkeys(right.resource for right in RIGHTS):
        verbs = ", ".join(right.verb for right in RIGHTS if right.resource == resource)
        yield f'- {{apiGroups: [""], resources: ["{resource}"], verbs: [{verbs}]}}'
