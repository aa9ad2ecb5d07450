"""Every filter says in its own words why a pod cannot go to an agent, and the line for people adds them up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import astuple

from kmsched.core.fit import ADOPTION_FILTERS, FILTERS, Place, Veto, explain, veto
from kmsched.core.model import (
    HostPort,
    Requirement,
    Taint,
    Unsupported,
)
from kmsched.core.resources import NO_COUNTS, Counts, Resources, whole_counts
from tests.core.places import PLENTY, ROOM, SETTINGS, affinity, found, place, pod


def test_a_plain_pod_fits() -> None:
    assert veto(pod(), place(), SETTINGS) is None


def test_an_exact_fit_fits() -> None:
    wanted = Resources(cpus=4000, mem=8_000_000, disk=10_000_000, gpus=2000, pods=1)
    assert veto(pod(requests=wanted), place(room=whole_counts(wanted)), SETTINGS) is None


@pytest.mark.parametrize(
    ("pod_has", "place_has", "expected"),
    [
        (
            {"unsupported": (Unsupported("VolumeRestrictions", "rbd volumes"), Unsupported("spec", "os windows"))},
            {},
            ("VolumeRestrictions", "the pod asks for what is not supported: rbd volumes, os windows", True),
        ),
        (
            {"is_privileged": True},
            {},
            ("privileged", "privileged containers are not allowed (--allow-privileged=false)", True),
        ),
        ({"node_name": "agent-2"}, {}, ("NodeName", "nodeName is agent-2", True)),
        ({"node_selector": {"disk": "ssd"}}, {}, ("NodeAffinity", "nodeSelector disk=ssd does not match", True)),
        (
            {"node_selector": {"a": "1", "disk": "ssd"}},
            {"labels": {"a": "1", "disk": "hdd"}},
            ("NodeAffinity", "nodeSelector disk=ssd does not match", True),
        ),
        (
            {"node_affinity": affinity(Requirement("a", "Exists"))},
            {},
            ("NodeAffinity", "required node affinity does not match", True),
        ),
        ({}, {"is_cordoned": True}, ("NodeUnschedulable", "cordoned", True)),
        (
            {},
            {"taints": (Taint("dedicated", "db", "NoSchedule"),)},
            ("TaintToleration", "taint dedicated=db:NoSchedule", True),
        ),
        ({}, {"taints": (Taint("broken", "", "NoExecute"),)}, ("TaintToleration", "taint broken:NoExecute", True)),
        (
            {},
            {"executor_id": "km-other", "difference": "--a: '1' here, '2' there"},
            ("executor", "executor of another fingerprint (--a: '1' here, '2' there)", True),
        ),
        (
            {"extended": (("example.com/fpga", 2),)},
            {"extended": {"example.com/fpga": 1}},
            ("NodeResourcesFit", "insufficient example.com/fpga (kubelet, short by 1)", False),
        ),
        (
            {"host_ports": frozenset({HostPort("TCP", "0.0.0.0", 80)})},
            {"used_ports": frozenset({HostPort("TCP", "10.0.0.1", 80)})},
            ("NodePorts", "host port 80/TCP in use", False),
        ),
        (
            {},
            {"offered": structs.replace(PLENTY, cpus=50)},
            ("offers", "insufficient cpu (offers, short by 200m)", False),
        ),
        (
            {},
            {"offered": structs.replace(PLENTY, cpus=-50, mem=1)},
            ("offers", "insufficient cpu and memory (offers, short by 300m and 64MiB)", False),
        ),
        (
            {},
            {"room": structs.replace(ROOM, memory=32 << 20)},
            ("NodeResourcesFit", "insufficient memory (kubelet, short by 32MiB)", False),
        ),
        (
            {"requests": Resources(disk=5000, pods=1)},
            {"room": structs.replace(ROOM, storage=0)},
            ("NodeResourcesFit", "insufficient ephemeral-storage (kubelet, short by 5MiB)", False),
        ),
        (
            {"requests": Resources(gpus=1000, pods=1)},
            {"offered": structs.replace(PLENTY, gpus=0)},
            ("offers", "insufficient gpus (offers, short by 1)", False),
        ),
        ({}, {"room": structs.replace(ROOM, pods=0)}, ("NodeResourcesFit", "too many pods on the node", False)),
    ],
)
def test_the_words_of_each_filter(
    pod_has: dict[str, Any], place_has: dict[str, Any], expected: tuple[str, str, bool]
) -> None:
    assert found(pod(**pod_has), place(**place_has)) == expected


def test_the_filters_of_kube_scheduler_are_asked_in_its_order() -> None:
    assert [name for name, _ in FILTERS] == [
        "privileged",
        "executor",
        "maintenance",
        "NodeName",
        "NodeUnschedulable",
        "TaintToleration",
        "NodeAffinity",
        "NodePorts",
        "roles",
        "offers",
        "executorRoom",
        "offeredPorts",
        "NodeResourcesFit",
        "unsupported",
    ]


def test_the_first_objection_counts() -> None:
    reason = found(pod(node_selector={"a": "b"}), place(is_cordoned=True, room=NO_COUNTS))[0]
    assert reason == "NodeUnschedulable"


def test_what_is_not_wanted_is_not_short_even_where_it_is_overdrawn() -> None:
    overdrawn = place(room=structs.replace(ROOM, storage=-5), offered=structs.replace(PLENTY, disk=-5, gpus=-1))
    assert veto(pod(), overdrawn, SETTINGS) is None


@pytest.mark.parametrize("executor_id", ["", "km-ours"])
def test_no_executor_and_our_own_are_both_right(executor_id: str) -> None:
    assert veto(pod(), place(executor_id=executor_id), SETTINGS) is None


def test_privileged_pods_are_placed_where_that_is_allowed() -> None:
    assert veto(pod(is_privileged=True), place(), replace(SETTINGS, allow_privileged=True)) is None


# --- a pod that is bound already


def test_a_bound_pod_is_asked_only_what_its_new_task_needs() -> None:
    assert [name for name, _ in ADOPTION_FILTERS] == ["executor", "NodeName", "roles", "offers", "executorRoom"]
    bound = pod(
        node_name="agent-1",
        node_selector={"gone": "label"},
        unsupported=(Unsupported("DynamicResources", "resourceClaims"),),
        is_privileged=True,
        host_ports=frozenset({HostPort("TCP", "0.0.0.0", 80)}),
    )
    there = place(
        is_cordoned=True,
        taints=(Taint("a", "", "NoSchedule"),),
        room=NO_COUNTS,
        used_ports=frozenset({HostPort("TCP", "0.0.0.0", 80)}),
    )
    assert veto(bound, there, SETTINGS) is None
    assert found(bound, structs.replace(there, node_name="agent-2"))[0] == "NodeName"
    assert found(bound, structs.replace(there, executor_id="km-other"))[0] == "executor"
    assert found(bound, structs.replace(there, offered=Resources()))[0] == "offers"


# --- resources


OFFERED = st.builds(
    Resources,
    cpus=st.integers(-5, 20),
    mem=st.integers(-5, 20),
    disk=st.integers(-5, 20),
    gpus=st.integers(-5, 20),
)
LEFT = st.builds(
    Counts,
    cpu=st.integers(-5, 20),
    memory=st.integers(-5, 20),
    storage=st.integers(-5, 20),
    pods=st.integers(0, 2),
)
WANTED = st.builds(
    Resources,
    cpus=st.integers(0, 20),
    mem=st.integers(0, 20),
    disk=st.integers(0, 20),
    gpus=st.integers(0, 20),
    pods=st.just(1),
)
COUNTED = st.builds(
    Counts,
    cpu=st.integers(0, 20),
    memory=st.integers(0, 20),
    storage=st.integers(0, 20),
    pods=st.just(1),
)


@given(wanted=WANTED, counted=COUNTED, offered=OFFERED, left=LEFT)
def test_a_pod_fits_exactly_if_both_ledgers_hold_it(
    wanted: Resources, counted: Counts, offered: Resources, left: Counts
) -> None:
    not_offered = [w > 0 and w > o for w, o in zip(astuple(wanted)[:4], astuple(offered)[:4], strict=True)]
    not_left = [w > 0 and w > r for w, r in zip(astuple(counted), astuple(left), strict=True)]
    objection = veto(pod(requests=wanted, counts=counted), place(offered=offered, room=left), SETTINGS)
    assert (objection is None) is not any((*not_offered, *not_left))
    if objection is not None and objection.shortfall:
        short = not_offered if objection.ledger == "offers" else not_left[:3]
        kinds = zip(("cpu", "memory", "ephemeral-storage", "gpus"), short, strict=False)
        assert [name for name, _, _ in objection.shortfall] == [kind for kind, is_short in kinds if is_short]


# --- the line for people


def judged(*places: Place) -> list[Veto]:
    objections = [veto(pod(), one, SETTINGS) for one in places]
    return [one for one in objections if one is not None]


def test_causes_are_counted_and_the_best_shortfall_told() -> None:
    tainted = place(taints=(Taint("dedicated", "db", "NoSchedule"),))
    vetoes = judged(
        *[place(offered=structs.replace(PLENTY, cpus=cpus)) for cpus in (0, 10, 240, 5, 0)],
        *[place(executor_id="km-other", difference="--a: 1 here, 2 there")] * 4,
        *[tainted] * 3,
    )
    assert explain(vetoes, 12) == (
        "0/12 agents: 5 insufficient cpu (offers, short by 10m at best),"
        " 4 executor of another fingerprint (--a: 1 here, 2 there), 3 taint dedicated=db:NoSchedule"
    )


def test_the_two_ledgers_are_told_apart() -> None:
    vetoes = judged(place(offered=structs.replace(PLENTY, mem=0)), place(room=structs.replace(ROOM, memory=32 << 20)))
    assert explain(vetoes, 2) == (
        "0/2 agents: 1 insufficient memory (kubelet, short by 32MiB at best),"
        " 1 insufficient memory (offers, short by 64MiB at best)"
    )


def test_several_kinds_that_are_short_on_one_agent_are_one_cause() -> None:
    vetoes = judged(place(offered=Resources(cpus=200)), place(offered=Resources(mem=63000)))
    assert explain(vetoes, 2) == ("0/2 agents: 2 insufficient cpu and memory (offers, short by 50m and 1MiB at best)")


def test_agents_that_have_offered_nothing_now_are_counted_too() -> None:
    assert explain(judged(place(is_cordoned=True)), 3) == "0/3 agents: 2 without an offer now, 1 cordoned"
    assert explain([], 2) == "0/2 agents: 2 without an offer now"


def test_no_agents_at_all() -> None:
    assert explain([], 0) == "0/0 agents: no agent has offered anything yet"


def test_equal_counts_are_in_the_order_of_their_words() -> None:
    vetoes = judged(
        place(is_cordoned=True),
        place(room=structs.replace(ROOM, pods=0)),
        place(executor_id="km-other", difference="--a: 1 here, 2 there"),
    )
    assert (
        explain(vetoes, 3) == "0/3 agents: 1 cordoned,"
        " 1 executor of another fingerprint (--a: 1 here, 2 there), 1 too many pods on the node"
    )
    assert explain(vetoes[::-1], 3) == explain(vetoes, 3)
