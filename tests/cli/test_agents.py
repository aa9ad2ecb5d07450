"""km agents: a table, what keeps new pods away, and answers of other releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kmsched.cli.agents import describe_agents

OURS = "0123456789abcdef" * 4
REASON = "executor of another fingerprint (--cluster-domain: 'a' here, 'b' there)"


def agent(host: str, *executors: str, reason: str = "", **more: Any) -> dict[str, Any]:
    return {
        "agent_id": f"S-{host}",
        "hostname": host,
        "executor_ids": list(executors),
        "compatible": not reason,
        "differences": [],
        "reason": reason,
        "settings_versions": dict.fromkeys(executors, 3),
        "pods": 2,
        "resources": {"held": {"cpus": 0.5, "mem_mib": 64.0}, "offered": {"cpus": 1.0, "mem_mib": 100.0}},
        **more,
    }


def lines(*agents: Mapping[str, Any]) -> list[str]:
    return list(describe_agents({"fingerprint": OURS, "agents": list(agents)}))


def test_agents_are_a_table_and_reasons_follow_it() -> None:
    ours = f"km-{OURS[:16]}"
    assert lines(agent("h1", ours), agent("host-2", "km-05e2", reason=REASON), agent("h3")) == [
        "HOST    NEW PODS  EXECUTOR             PODS  CPUS HELD  MEM HELD  SETTINGS  AGENT",
        "h1      yes       km-0123456789abcdef  2     0.5        64MiB     3         S-h1",
        "host-2  no        km-05e2              2     0.5        64MiB     3         S-host-2",
        "h3      yes       -                    2     0.5        64MiB     -         S-h3",
        f"our executor is {ours}; here means its scheduler, there the agent:",
        f"  1 agent: {REASON}",
    ]


def test_agents_with_one_reason_are_told_together() -> None:
    told = lines(*(agent(f"h{n}", "km-05e2", reason=REASON) for n in range(4)))
    assert told[-1] == f"  4 agents: {REASON}"
    assert len(told) == 1 + 4 + 2


def test_where_all_fit_nothing_follows() -> None:
    assert len(lines(agent("h1"))) == 2


def test_an_answer_of_another_release_is_printed_as_far_as_it_goes() -> None:
    assert list(describe_agents(json.loads('{"agents": [{"hostname": "h1", "compatible": false}]}')))[1:] == [
        "h1    no        -         -     0          0MiB      -         -",
        "our executor is km-; here means its scheduler, there the agent:",
        "  1 agent: None",
    ]
    assert list(describe_agents({})) == ["no agent has offered anything yet"]
