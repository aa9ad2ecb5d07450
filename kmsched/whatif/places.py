"""Nodes without Mesos: each as a pod would find it, less what the pods on it request. Nothing is offered there."""

from __future__ import annotations

from collections.abc import Iterable

from kmsched.core.fit import Place
from kmsched.core.model import Node, Pod
from kmsched.core.resources import ZERO
from kmsched.errors import ConfigRefused


def places(nodes: Iterable[Node], bound: Iterable[Pod]) -> dict[str, Place]:
    """By the Node's name, in the order of `nodes`. Pods that have ended, or are on no Node of these, do not count.

    ConfigRefused: two Nodes have one name, or one has none.
    """
    found: dict[str, Place] = {}
    for node in nodes:
        if not node.name:
            raise ConfigRefused("a Node has no name; give it metadata.name")
        if node.name in found:
            raise ConfigRefused(f"two Nodes are called {node.name}; give each its own metadata.name")
        found[node.name] = Place(
            agent_id=node.name,
            hostname=node.name,
            node_name=node.name,
            offered=ZERO,
            room=node.allocatable,
            labels=node.labels,
            taints=node.taints,
            is_cordoned=node.is_unschedulable,
            extended=node.extended,
        )
    for pod in bound:
        place = found.get(pod.node_name)
        if place is not None and pod.holds_resources:
            found[pod.node_name] = place.less(pod)
    return found
