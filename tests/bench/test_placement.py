from __future__ import annotations

from dataclasses import replace

from bench.naive import Naive
from bench.placement import TIMES, Case, compare, placed_by, ready_state, whole_cycle
from bench.workload import TOLERATION, faults, make


def test_both_ways_break_no_rule() -> None:
    workload = make(agents=20, pods=120, seed=7)
    effects, _ = whole_cycle(ready_state(workload))
    by_core = placed_by(effects)
    by_naive = Naive(workload).place(workload.pods)
    assert by_core
    assert by_naive
    assert faults(workload, by_core) == faults(workload, by_naive) == []


def test_a_comparison_says_what_the_naive_one_placed() -> None:
    found = compare(Case(agents=5, naive_pods=4, pods=100, seed=7), repeats=2)
    assert found["naive_placed"] == "4 when 0%, 45%, 90% of all had been placed"
    assert len(found["naive_over_core"]["all"]) == 2
    assert len(TIMES) == 3


def test_the_check_finds_an_agent_over_its_ledgers() -> None:
    workload = make(agents=2, pods=200, seed=7)
    all_on_one = {pod.uid: "A0" for pod in workload.pods}
    found = faults(workload, all_on_one)
    assert any(fault.startswith("A0: ") for fault in found)
    assert any(fault.startswith("agent-0: ") for fault in found)


def test_the_check_finds_broken_rules() -> None:
    workload = make(agents=30, pods=1, seed=7)
    picky = replace(workload.pods[0], node_selector={"zone": "nowhere"})
    tainted = next(name for name, node in workload.nodes.items() if node.taints)
    agent_id = workload.nodes[tainted].agent_id
    found = faults(replace(workload, pods=(replace(picky, tolerations=()),)), {picky.uid: agent_id})
    assert any("against its nodeSelector" in fault for fault in found)
    assert any("against its taint" in fault for fault in found)
    tolerant = replace(workload.pods[0], node_selector={}, tolerations=(TOLERATION,))
    assert faults(replace(workload, pods=(tolerant,)), {tolerant.uid: agent_id}) == []


def test_the_check_finds_unknown_pods_and_agents() -> None:
    workload = make(agents=1, pods=1, seed=7)
    assert faults(workload, {"other": "A0"}) == ["other is no pod of the workload"]
    assert faults(workload, {workload.pods[0].uid: "A9"}) == ["A9 has offered nothing"]
