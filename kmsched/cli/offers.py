"""`km offers`: what of each agent is held, since when and why, and how its last offers went.

Knows the daemon's page of offers and prints it as a table; fields that are missing are left out.  It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from kmsched.cli.ask import NONE, Credentials, lasting, parts, print_answer, table, with_json, with_server
from kmsched.errors import EXIT_OK

COLUMNS = ("HOST", "OFFERS", "CPUS", "MEM", "AGE", "LEFT", "TAKEN BACK", "WHY HELD, OR HOW THE LAST ONES WENT")
LIMIT = 1000


@click.command()
@with_server
@with_json
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="So many agents.")
def offers(url: str, credentials: Credentials, as_json: bool, limit: int) -> int:
    """Show which offers are held, and why; and how each agent's last ones went."""
    answer = parts(url, "/api/v1/offers", "agents", limit, credentials)
    print_answer(answer, as_json, describe_offers(answer))
    return EXIT_OK


def describe_offers(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line an agent, after one of them all."""
    listed = answer.get("agents")
    found: Sequence[Mapping[str, Any]] = listed if isinstance(listed, list) else ()
    yield _in_all(answer)
    if not found:
        yield "no agent has offered anything yet"
        return
    yield from table([COLUMNS, *(_row(agent) for agent in found)])
    if answer.get("next"):
        yield f"and more: these are the first {len(found)}; --limit says how many are told"


def _in_all(answer: Mapping[str, Any]) -> str:
    wants = "no offers are wanted now (suppressed)" if answer.get("suppressed") else "offers are wanted"
    return (
        f"{answer.get('held', NONE)} offers held, link to Mesos {answer.get('link', NONE)}; {wants}; unused ones are"
        f" declined after {lasting(answer.get('ttl_s'))}, and not offered again for {lasting(answer.get('refuse_s'))}"
    )


def _row(agent: Mapping[str, Any]) -> tuple[str, ...]:
    resources = agent.get("resources", {})
    held = len(agent.get("offers") or ())
    return (
        str(agent.get("hostname") or NONE),
        str(held),
        f"{resources.get('cpus', 0):g}",
        f"{resources.get('mem_mib', 0):g}MiB",
        lasting(agent.get("age_s")),
        lasting(agent.get("expires_in_s")),
        str(agent.get("rescinded", NONE)),
        str(agent.get("why") or NONE) if held else _last(agent.get("last")),
    )


def _last(last: Any) -> str:
    if not isinstance(last, Mapping):
        return NONE
    return f"{last.get('fate', NONE)} {lasting(last.get('ago_s'))} ago: {last.get('reason', NONE)}"
