"""Pods and places for the tests of filters: a plain pod fits a plain place."""

from __future__ import annotations

from typing import Any

from kmsched.core.fit import Place, veto
from kmsched.core.model import (
    NodeTerm,
    Phase,
    Pod,
    Requirement,
    Settings,
)
from kmsched.core.resources import Resources, whole_counts

SETTINGS = Settings(executor_id="km-ours", executor_resources=Resources(cpus=100, mem=128000))
PLENTY = Resources(cpus=4000, mem=8_000_000, disk=10_000_000, gpus=2000, pods=110)
ROOM = whole_counts(PLENTY)


def pod(**more: Any) -> Pod:
    given_: dict[str, Any] = {
        "key": "ns/web",
        "uid": "u",
        "resource_version": "1",
        "scheduler_name": "default-scheduler",
        "node_name": "",
        "phase": Phase.PENDING,
        "is_terminating": False,
        "is_static": False,
        "is_gated": False,
        "priority": 0,
        "created_s": 0.0,
        "requests": Resources(cpus=250, mem=64000, pods=1),
    }
    wanted = given_ | more
    return Pod(**({"counts": whole_counts(wanted["requests"])} | wanted))


def place(**more: Any) -> Place:
    given_: dict[str, Any] = {
        "agent_id": "S1",
        "hostname": "Agent-1",
        "node_name": "agent-1",
        "offered": PLENTY._replace(pods=0),
        "room": ROOM,
    }
    return Place(**(given_ | more))


def affinity(*rules: Requirement) -> tuple[NodeTerm, ...]:
    return (NodeTerm(labels=rules),)


def found(a_pod: Pod, a_place: Place) -> tuple[str, str, bool]:
    objection = veto(a_pod, a_place, SETTINGS)
    assert objection is not None
    return objection.filter, objection.reason, objection.is_static
