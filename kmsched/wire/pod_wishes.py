"""What a pod says to Mesos alone: roles, and how its ports are mapped.

Knows the annotations and labels of the original k8s-mesos, which people write on pods.  What follows from them is
`core.agent_filters`'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from kmsched.core.annotations import PORT, PORT_MAPPING, ROLES
from kmsched.core.model import NOTHING, Wishes
from kmsched.errors import ProtocolError
from kmsched.wire.kube_objects import Container, PodObject

MAPPINGS = ("", "fixed", "wildcard")
MAX_PORT = 65535
_NUMBER = re.compile("[0-9]{1,5}", re.ASCII)
#: pods of one template wish the same, and share the value
_shared = lru_cache(maxsize=10_000)(Wishes)


def pod_wishes(pod: PodObject) -> Wishes:
    """ProtocolError names the label and what to write."""
    annotations = pod.metadata.annotations or NOTHING
    mapping = (pod.metadata.labels or NOTHING).get(PORT_MAPPING, "")
    if mapping not in MAPPINGS:
        raise ProtocolError(f"its label {PORT_MAPPING} is {mapping!r}; write fixed or wildcard")
    limit = pod.spec.active_deadline_seconds
    return _shared(
        _roles(annotations.get(ROLES)),
        mapping,
        _open_ports(pod),
        _mapped_ports(annotations) if pod.spec.node_name else (),
        None if limit is None else float(limit),
    )


def long_lived(pod: PodObject) -> tuple[Container, ...]:
    """Containers and sidecars: other init containers do not run for as long as the pod does."""
    sidecars = (one for one in pod.spec.init_containers or () if one.restart_policy == "Always")
    return (*(pod.spec.containers or ()), *sidecars)


def _roles(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _open_ports(pod: PodObject) -> tuple[tuple[str, int, str], ...]:
    return tuple(
        (port.protocol or "TCP", port.container_port, port.name)
        for container in long_lived(pod)
        for port in container.ports or ()
        if port.host_port == 0 and port.container_port > 0
    )


def _mapped_ports(annotations: Mapping[str, str]) -> tuple[int, ...]:
    """Of the Binding. Anyone may write an annotation: what is no number of a port is nobody's."""
    found = (text for name, text in annotations.items() if name.startswith(PORT))
    numbers = {int(text) for text in found if _NUMBER.fullmatch(text)}
    return tuple(sorted(number for number in numbers if 0 < number <= MAX_PORT))
