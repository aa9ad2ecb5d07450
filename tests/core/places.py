"""Pods and places for the tests of filters: a plain pod fits a plain place."""

from __future__ import annotations

from typing import Any

from kmsched.core.fit import Place, veto
from kmsched.core.model import NodeTerm, Pod, Requirement, Settings
from kmsched.core.resources import Resources, whole_counts
from tests.core import values

SETTINGS = Settings(executor_id="km-ours", executor_resources=Resources(cpus=100, mem=128000))
PLENTY = Resources(cpus=4000, mem=8_000_000, disk=10_000_000, gpus=2000, pods=110)
ROOM = whole_counts(PLENTY)


def pod(**more: Any) -> Pod:
    return values.pod("u", **({"key": "ns/web", "requests": Resources(cpus=250, mem=64000, pods=1)} | more))


def place(**more: Any) -> Place:
    given: dict[str, Any] = {
        "agent_id": "S1",
        "hostname": "Agent-1",
        "node_name": "agent-1",
        "offered": PLENTY.without_pods(),
        "room": ROOM,
    }
    return Place(**(given | more))


def affinity(*rules: Requirement) -> tuple[NodeTerm, ...]:
    return (NodeTerm(labels=rules),)


def found(a_pod: Pod, a_place: Place) -> tuple[str, str, bool]:
    objection = veto(a_pod, a_place, SETTINGS)
    assert objection is not None
    return objection.filter, objection.reason, objection.is_static
