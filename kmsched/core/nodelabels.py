"""The labels that the Node of an agent has, whether it exists already or not.

The executor gives them to kubelet, and an agent without a Node is judged by them: both ask here, so that a pod is
never sent where its selector will not match.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmsched.core import labels
from kmsched.core.model import ATTRIBUTE_LABEL_PREFIX

HOSTNAME_LABEL = "kubernetes.io/hostname"
OS_LABEL = "kubernetes.io/os"
ARCH_LABEL = "kubernetes.io/arch"
#: that kubelet sets on every Node
KUBELET_LABELS = frozenset({HOSTNAME_LABEL, OS_LABEL, ARCH_LABEL, "beta.kubernetes.io/os", "beta.kubernetes.io/arch"})
_NAME_PREFIX = ATTRIBUTE_LABEL_PREFIX.partition("/")[2]


def attribute_labels(attributes: Mapping[str, str]) -> dict[str, str]:
    """One label an attribute; what Kubernetes does not take as a label (63 characters of A-Za-z0-9-_.) is left out."""
    return {
        ATTRIBUTE_LABEL_PREFIX + name: value
        for name, value in attributes.items()
        if labels.is_name(_NAME_PREFIX + name) and labels.is_value(value)
    }


def node_labels(hostname: str, attributes: Mapping[str, str], arch: str = "amd64") -> dict[str, str]:
    """All that kubelet will set on a new Node of the agent. `arch` as Go spells it: all agents run one `km` file."""
    own = {HOSTNAME_LABEL: hostname.lower(), OS_LABEL: "linux", ARCH_LABEL: arch}
    return own | attribute_labels(attributes)
