"""The Kubernetes API as a user with all rights sees it.

Knows verbs and paths of the few kinds that scenarios use, and reads what it needs off plain JSON objects.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed import controlplane
from testbed.settings import Settings
from tests.scenarios import lab

Object = Mapping[str, Any]

CORE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"
PATHS = {
    "Pod": (CORE, "pods"),
    "Namespace": (CORE, "namespaces"),
    "Node": (CORE, "nodes"),
    "Event": (CORE, "events"),
    "ServiceAccount": (CORE, "serviceaccounts"),
    "Service": (CORE, "services"),
    "Deployment": (APPS, "deployments"),
    "StatefulSet": (APPS, "statefulsets"),
    "DaemonSet": (APPS, "daemonsets"),
    "Job": (BATCH, "jobs"),
    "CronJob": (BATCH, "cronjobs"),
}
#: whoever makes others before what it makes
WORKLOADS = ("CronJob", "Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
BINDINGS = re.compile(
    r'^apiserver_request_total\{(?=[^}]*code="201")(?=[^}]*resource="pods")(?=[^}]*subresource="binding")'
    r"[^}]*\} (\S+)$",
    re.MULTILINE,
)


class RefusedError(Exception):
    """The API server said no; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Kubernetes:
    settings: Settings
    context: ssl.SSLContext

    def request(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Any:
        """The JSON answer. RefusedError for every status of 400 and above."""
        reply = self.reply(method, path, body, kind)
        return reply.json()

    def reply(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> lab.Reply:
        reply = lab.ask(
            self.settings,
            controlplane.server(self.settings) + path,
            method=method,
            body=None if body is None else json.dumps(body).encode(),
            headers={"content-type": kind},
            context=self.context,
        )
        if reply.status >= 400:
            raise RefusedError(reply.status, reply.body.decode(errors="replace")[:500])
        return reply

    def create(self, obj: Object, namespace: str = "") -> Object:
        made: Object = self.request("POST", path_of(obj["kind"], namespace), obj)
        return made

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            found: Object = self.request("GET", f"{path_of(kind, namespace)}/{name}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        return found

    def listed(self, kind: str, namespace: str = "", query: str = "") -> list[Object]:
        return list(self.listing(kind, namespace, query)["items"])

    def listing(self, kind: str, namespace: str = "", query: str = "") -> Object:
        found: Object = self.request("GET", path_of(kind, namespace) + (f"?{query}" if query else ""))
        return found

    def delete(self, kind: str, namespace: str, name: str, grace_s: int | None = None) -> None:
        """Asks for the deletion; one that is gone already is no error."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self.request("DELETE", f"{path_of(kind, namespace)}/{name}", options)
        except RefusedError as error:
            if error.status != 404:
                raise

    def delete_all(self, kind: str, namespace: str) -> None:
        """Asks for the deletion of all objects of that kind in the namespace."""
        self.request("DELETE", path_of(kind, namespace), {"propagationPolicy": "Background"})

    def patch(self, kind: str, namespace: str, name: str, change: Object, how: str = MERGE) -> Object:
        found: Object = self.request("PATCH", f"{path_of(kind, namespace)}/{name}", change, how)
        return found

    def bindings(self) -> int:
        """Bindings of pods that this API server has created since it started."""
        text = self.reply("GET", "/metrics").body.decode()
        return sum(int(float(value)) for value in BINDINGS.findall(text))

    def events(self, namespace: str, name: str, reason: str) -> list[str]:
        """Messages of the Events of that pod with this reason."""
        query = f"fieldSelector=involvedObject.name%3D{name}%2Creason%3D{reason}"
        return [event["message"] for event in self.listed("Event", namespace, query)]


def connect(settings: Settings) -> Kubernetes:
    keys = settings.kube / "pki"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    return Kubernetes(settings, context)


def path_of(kind: str, namespace: str = "") -> str:
    group, plural = PATHS[kind]
    return f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}"


def uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def node_name(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


def phase(pod: Object) -> str:
    return str(pod["status"].get("phase", ""))


def is_terminating(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def container_states(pod: Object) -> list[Object]:
    return list(pod["status"].get("containerStatuses", ()))


def restarts(pod: Object) -> int:
    return sum(int(state["restartCount"]) for state in container_states(pod))


def is_ready(obj: Object) -> bool:
    """Whether a pod or Node has the condition Ready."""
    conditions = obj["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
