"""Taints, node affinity and host ports, rule by rule."""

from __future__ import annotations

import pytest

from kmsched.core.fit import veto
from kmsched.core.model import (
    HostPort,
    NodeTerm,
    Requirement,
    Taint,
    Toleration,
)
from tests.core.places import SETTINGS, affinity, found, place, pod

# --- taints and cordon


def test_lifecycle_taints_and_preferences_are_no_veto() -> None:
    taints = (
        Taint("node.kubernetes.io/not-ready", "", "NoSchedule"),
        Taint("node.kubernetes.io/not-ready", "", "NoExecute"),
        Taint("node.kubernetes.io/unreachable", "", "NoExecute"),
        Taint("dedicated", "db", "PreferNoSchedule"),
    )
    assert veto(pod(), place(taints=taints), SETTINGS) is None


@pytest.mark.parametrize(
    ("toleration", "is_enough"),
    [
        (Toleration("dedicated", "Equal", "db", "NoSchedule"), True),
        (Toleration("dedicated", "", "db", ""), True),
        (Toleration("dedicated", "Exists", "", ""), True),
        (Toleration("", "Exists", "", ""), True),
        (Toleration("dedicated", "Equal", "web", ""), False),
        (Toleration("dedicated", "Equal", "db", "NoExecute"), False),
        (Toleration("other", "Exists", "", ""), False),
        (Toleration("dedicated", "Gt", "0", ""), False),
    ],
)
def test_tolerations(toleration: Toleration, is_enough: bool) -> None:
    there = place(taints=(Taint("dedicated", "db", "NoSchedule"),))
    assert (veto(pod(tolerations=(toleration,)), there, SETTINGS) is None) is is_enough


def test_all_taints_must_be_tolerated() -> None:
    there = place(taints=(Taint("a", "", "NoSchedule"), Taint("b", "", "NoExecute")))
    assert found(pod(tolerations=(Toleration("a", "Exists", "", ""),)), there)[1] == "taint b:NoExecute"


def test_who_tolerates_unschedulable_may_go_to_a_cordoned_node() -> None:
    daemon = pod(tolerations=(Toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoSchedule"),))
    there = place(is_cordoned=True, taints=(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),))
    assert veto(daemon, there, SETTINGS) is None


# --- node affinity


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (Requirement("zone", "In", ("a", "b")), True),
        (Requirement("zone", "In", ("c",)), False),
        (Requirement("none", "In", ("a",)), False),
        (Requirement("zone", "NotIn", ("c",)), True),
        (Requirement("none", "NotIn", ("c",)), True),
        (Requirement("zone", "NotIn", ("a",)), False),
        (Requirement("zone", "Exists"), True),
        (Requirement("none", "Exists"), False),
        (Requirement("zone", "DoesNotExist"), False),
        (Requirement("none", "DoesNotExist"), True),
        (Requirement("slots", "Gt", ("7",)), True),
        (Requirement("slots", "Gt", ("8",)), False),
        (Requirement("slots", "Lt", ("9",)), True),
        (Requirement("slots", "Gt", ("0" * 40 + "7",)), True),
        (Requirement("zone", "Gt", ("0",)), False),
        (Requirement("none", "Lt", ("5",)), False),
        (Requirement("none", "Gt", ("5",)), False),
        (Requirement("debt", "Lt", ("0",)), True),
        (Requirement("huge", "Gt", ("0",)), False),
    ],
)
def test_operators(rule: Requirement, holds: bool) -> None:
    there = place(labels={"zone": "a", "slots": "8", "debt": "-5", "huge": str(2**63)})
    assert (veto(pod(node_affinity=affinity(rule)), there, SETTINGS) is None) is holds


def test_one_term_is_enough_and_all_of_a_term_are_needed() -> None:
    yes, no = Requirement("zone", "In", ("a",)), Requirement("zone", "In", ("b",))
    there = place(labels={"zone": "a"})
    assert veto(pod(node_affinity=(NodeTerm((no,)), NodeTerm((yes,)))), there, SETTINGS) is None
    assert found(pod(node_affinity=(NodeTerm((yes, no)),)), there)[0] == "NodeAffinity"


@pytest.mark.parametrize("terms", [(), (NodeTerm(),)])
def test_no_term_and_an_empty_term_match_nothing(terms: tuple[NodeTerm, ...]) -> None:
    assert found(pod(node_affinity=terms), place())[0] == "NodeAffinity"


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (Requirement("metadata.name", "In", ("agent-1",)), True),
        (Requirement("metadata.name", "In", ("agent-2",)), False),
        (Requirement("metadata.name", "NotIn", ("agent-1",)), False),
        (Requirement("metadata.name", "NotIn", ("agent-2",)), True),
        (Requirement("metadata.uid", "In", ("agent-1",)), False),
        (Requirement("metadata.uid", "NotIn", ("agent-1",)), True),
    ],
)
def test_the_pods_of_a_daemon_set_ask_for_their_node_by_name(rule: Requirement, holds: bool) -> None:
    wanted = pod(node_affinity=(NodeTerm(fields=(rule,)),))
    assert (veto(wanted, place(), SETTINGS) is None) is holds


# --- host ports


@pytest.mark.parametrize(
    ("wanted", "used", "clash"),
    [
        (HostPort("TCP", "0.0.0.0", 80), HostPort("TCP", "0.0.0.0", 80), True),
        (HostPort("TCP", "10.0.0.1", 80), HostPort("TCP", "0.0.0.0", 80), True),
        (HostPort("TCP", "10.0.0.1", 80), HostPort("TCP", "10.0.0.1", 80), True),
        (HostPort("TCP", "10.0.0.1", 80), HostPort("TCP", "10.0.0.2", 80), False),
        (HostPort("UDP", "0.0.0.0", 80), HostPort("TCP", "0.0.0.0", 80), False),
        (HostPort("TCP", "0.0.0.0", 81), HostPort("TCP", "0.0.0.0", 80), False),
    ],
)
def test_host_ports(wanted: HostPort, used: HostPort, clash: bool) -> None:
    objection = veto(pod(host_ports=frozenset({wanted})), place(used_ports=frozenset({used})), SETTINGS)
    assert (objection is not None) is clash
