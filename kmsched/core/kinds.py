"""Which pods are alike: what filters and the ranking read of a pod, as keys.

Knows no agents. A filter that reads more of a pod than is named here would judge pods by the verdict on another.
"""

from __future__ import annotations

from collections.abc import Hashable

from kmsched.core.model import Pod


def kind_of(pod: Pod, is_refused: bool = False) -> Hashable:
    """Equal for pods that every filter and the ranking treat alike. `is_refused`: some Node has refused its owner."""
    return ask_of(pod, is_refused), rules_of(pod)


def ask_of(pod: Pod, is_refused: bool) -> Hashable:
    """Equal for pods that `TAKEN_FILTERS` and the ranking treat alike, but for taints that only ask to stay away."""
    owner_uid = pod.owner_uid if is_refused else ""
    return pod.requests, pod.counts, pod.host_ports, pod.extended, pod.preferred, pod.wishes, owner_uid


def rules_of(pod: Pod) -> Hashable:
    """Equal for pods that `STANDING_FILTERS` and `LABEL_FILTERS` treat alike."""
    selector = tuple(sorted(pod.node_selector.items())) if pod.node_selector else ()
    return selector, pod.node_affinity, pod.node_name, rules_but_for_labels(pod)


def rules_but_for_labels(pod: Pod) -> Hashable:
    """Equal for pods that `STANDING_FILTERS` treat alike."""
    return pod.tolerations, pod.unsupported, pod.is_privileged, pod.wishes
