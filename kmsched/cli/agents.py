"""`km agents`: which executor runs on which agent, whether new pods may go there, and if not, what differs.

Knows the daemon's page of agents and prints it as a table; fields that are missing are left out.  It decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from kmsched.cli.ask import NONE, Credentials, fetch, print_answer, table, with_json, with_server
from kmsched.errors import EXIT_OK

COLUMNS = ("HOST", "NEW PODS", "EXECUTOR", "PODS", "CPUS HELD", "MEM HELD", "SETTINGS", "AGENT")


@click.command()
@with_server
@with_json
def agents(url: str, credentials: Credentials, as_json: bool) -> int:
    """Show which executor runs on which agent, and what differs."""
    answer = fetch(url, "/api/v1/agents", credentials)
    print_answer(answer, as_json, describe_agents(answer))
    return EXIT_OK


def describe_agents(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line an agent, then one for each reason that keeps new pods away."""
    listed = answer.get("agents")
    found: Sequence[Mapping[str, Any]] = listed if isinstance(listed, list) else ()
    ours = str(answer.get("fingerprint", ""))
    if not found:
        yield "no agent has offered anything yet"
        return
    yield from table([COLUMNS, *(_row(agent) for agent in found)])
    reasons = Counter(str(agent.get("reason")) for agent in found if not agent.get("compatible", True))
    if reasons:
        yield f"our executor is km-{ours[:16]}; here means its scheduler, there the agent:"
    for reason, count in sorted(reasons.items()):
        yield f"  {count} agent{'s' if count > 1 else ''}: {reason}"


def _row(agent: Mapping[str, Any]) -> tuple[str, ...]:
    held = agent.get("resources", {}).get("held", {})
    versions = agent.get("settings_versions", {})
    return (
        str(agent.get("hostname") or NONE),
        "yes" if agent.get("compatible") else "no",
        ",".join(agent.get("executor_ids", ())) or NONE,
        str(agent.get("pods", NONE)),
        f"{held.get('cpus', 0):g}",
        f"{held.get('mem_mib', 0):g}MiB",
        ",".join(str(version) for version in versions.values()) or NONE,
        str(agent.get("agent_id") or NONE),
    )
