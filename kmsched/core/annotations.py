"""The annotations that a Binding writes: which task holds a pod's resources, and where.

They are written in the Binding itself, so that a pod is never bound without them, and patched when a pod is adopted.
`TASK_ID_ANNOTATION` alone decides anything; the others are for people and for tools of the original k8s-mesos.
"""

from __future__ import annotations

from collections.abc import Iterable

from kmsched.core.model import ANNOTATION_PREFIX, TASK_ID_ANNOTATION

BINDING_HOST = ANNOTATION_PREFIX + "bindingHost"
AGENT_ID = ANNOTATION_PREFIX + "slaveId"
FRAMEWORK_ID = ANNOTATION_PREFIX + "frameworkId"
#: of a Node: a scheduler made it, for an agent without a kubelet
PROMISED = ANNOTATION_PREFIX + "promised"
OFFER_ID = ANNOTATION_PREFIX + "offerId"
EXECUTOR_ID = ANNOTATION_PREFIX + "executorId"
#: on pods, by users
ROLES = ANNOTATION_PREFIX + "roles"
#: label on pods, by users: fixed | wildcard
PORT_MAPPING = ANNOTATION_PREFIX + "portMapping"
#: of each open port that was given a host port: by protocol and number, and by protocol and name
PORT = ANNOTATION_PREFIX + "port_"
PORT_NAME = ANNOTATION_PREFIX + "portName_"


def binding_annotations(
    *, hostname: str, task_id: str, agent_id: str, offer_ids: Iterable[str], executor_id: str
) -> tuple[tuple[str, str], ...]:
    """In a fixed order; several offers are one value, with commas between them."""
    return (
        (BINDING_HOST, hostname),
        (TASK_ID_ANNOTATION, task_id),
        (AGENT_ID, agent_id),
        (OFFER_ID, ",".join(offer_ids)),
        (EXECUTOR_ID, executor_id),
    )


def port_annotations(open_ports: Iterable[tuple[str, int, str]], mapped: Iterable[int]) -> tuple[tuple[str, str], ...]:
    """The host ports that were found for a pod's open ports (protocol, number, name), in the same order."""
    found: list[tuple[str, str]] = []
    for (protocol, number, name), host_port in zip(open_ports, mapped, strict=False):
        found.append((f"{PORT}{protocol}_{number}", str(host_port)))
        if name:
            found.append((f"{PORT_NAME}{protocol}_{name}", str(host_port)))
    return tuple(found)
