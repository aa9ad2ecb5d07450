"""What people may know of agents and of the offers that are held: plain values for HTTP pages and commands.

Reads, and changes nothing.  Words about pods are in `core.views`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from kmsched.core.executor_id import EXECUTOR_PREFIX
from kmsched.core.executors import plain_id
from kmsched.core.model import Offer
from kmsched.core.offers import AgentOffers
from kmsched.core.ports import words
from kmsched.core.queue import Waiting
from kmsched.core.resources import ZERO
from kmsched.core.shares import pool_of
from kmsched.core.state import Link, PodRecord, State
from kmsched.core.tasks import PodState
from kmsched.core.views import Now, Part, amounts

#: kinds of waiting pods that are asked why an agent's offers are of no use to them, and reasons that are told of each
MAX_KINDS = 20
MAX_REASONS = 3


def agents(state: State) -> list[dict[str, Any]]:
    """Every agent that offered something or runs executors or tasks of ours, by hostname.

    `compatible`: new pods may go there. `differences`: of its executors from ours; None where a spec is unknown, and
    `reason` says so. `fingerprint`: the first digits of the executor that decides this; "" where none runs.
    """
    tasks: dict[str, list[PodRecord]] = {}
    for record in state.pods.values():
        if record.task_id and record.agent_id:
            tasks.setdefault(record.agent_id, []).append(record)
    known = {*state.offers.agents, *state.executors.on_agent, *tasks}
    found = [_agent(state, agent_id, tasks.get(agent_id, [])) for agent_id in known]
    return sorted(found, key=lambda each: (each["hostname"].lower(), each["agent_id"]))


def _agent(state: State, agent_id: str, tasks: list[PodRecord]) -> dict[str, Any]:
    agent = state.offers.agents.get(agent_id)
    hostname = agent.hostname if agent else _first(record.node_name for record in tasks)
    hostname = hostname or state.node_of_agent(agent_id)
    running = state.executors.on_agent.get(agent_id, {})
    ids = sorted(running)
    other = _first(each for each in ids if state.settings.flavour_of(each) is None)
    held = ZERO
    for record in tasks:
        held = held.plus(record.promised)
    return {
        "agent_id": agent_id,
        "hostname": hostname,
        "executor_ids": ids,
        "fingerprint": plain_id(other or _first(ids)).removeprefix(EXECUTOR_PREFIX),
        "compatible": not other,
        "differences": _differences(state, other),
        "reason": f"executor of another fingerprint ({state.executors.words(other)})" if other else "",
        "settings_versions": {each: executor.settings_version for each, executor in sorted(running.items())},
        "pods": len(state.on_node.get(hostname.lower(), ())),
        "tasks": len(tasks),
        "resources": {"held": amounts(held), "offered": amounts(agent.total if agent else ZERO)},
    }


def _differences(state: State, other: str) -> list[str] | None:
    if not other:
        return []
    found = state.executors.differences.get(plain_id(other))
    return None if found is None else list(found)


def _first(words: Iterable[str]) -> str:
    return next((each for each in words if each), "")


def offers(state: State, part: Part, now: Now) -> dict[str, Any]:
    """Every agent that has offered something, by hostname: what of it is held, why, and how its last offers went.

    All offers of an agent are declined together, so their age is the oldest one's. `next`: the `after` of
    the part that follows.
    """
    known = {f"{agent.node_name}/{agent.agent_id}": agent for agent in state.offers.agents.values()}
    keys, following = part.of(known)
    use = _Use(state, now)
    return {
        "link": state.link.value,
        "suppressed": state.is_suppressed,
        "held": len(state.offers.agent_of),
        "ttl_s": state.settings.offer_ttl_s,
        "refuse_s": state.settings.refuse_s,
        "agents": [_offers_of(state, known[key], use, now) for key in keys],
        "next": following,
    }


def _offers_of(state: State, agent: AgentOffers, use: _Use, now: Now) -> dict[str, Any]:
    is_held = bool(agent.offers)
    came_at = agent.expires_at - state.settings.offer_ttl_s
    last = agent.let_go
    return {
        "hostname": agent.hostname,
        "agent_id": agent.agent_id,
        "executor_ids": list(agent.executor_ids),
        "offers": [_offer(each) for each in agent.offers],
        "resources": amounts(agent.total),
        "came_s": now.time_s(came_at) if is_held else None,
        "age_s": now.ago_s(came_at) if is_held else None,
        "expires_in_s": -now.ago_s(agent.expires_at) if is_held else None,
        "why": use.of(agent) if is_held else "",
        "rescinded": agent.rescinded,
        "last": last
        and {
            "fate": last.fate.value,
            "reason": last.reason,
            "time_s": now.time_s(last.at),
            "ago_s": now.ago_s(last.at),
        },
    }


def _offer(offer: Offer) -> dict[str, Any]:
    """`ports`: in words. `reserved`: what of it is reserved for the role."""
    pool = pool_of(offer.role, offer.shares)
    reserved = ZERO
    for share in offer.reserved:
        reserved = reserved.plus(share.amount)
    return {
        "offer_id": offer.offer_id,
        "role": offer.role,
        **amounts(offer.resources),
        "ports": words(pool.ports),
        "reserved": amounts(reserved),
    }


class _Use:
    """Why offers are held: asked of each agent, so what is the same for all is looked up once."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now
        kinds: dict[int, list[PodRecord]] = {}
        gated = state.queue.members[Waiting.GATED]
        self._waits = self._tried = 0
        for record in state.pods.values():
            if record.state is PodState.PENDING and record.pod.uid not in gated:
                self._waits += 1
                self._tried += bool(record.vetoes)
                kinds.setdefault(id(record.vetoes), []).append(record)
        largest = sorted(kinds.values(), key=len, reverse=True)[:MAX_KINDS]
        self._kinds = [(records[0].vetoes, len(records)) for records in largest]

    def of(self, agent: AgentOffers) -> str:
        state = self._state
        if state.link is not Link.ACTIVE:
            return "held until Mesos has told the state of all tasks"
        if not agent.is_usable(self._now.monotonic):
            return f"held back: {agent.ended_executor} has ended there, and no launch before an offer lacks it"
        if not self._waits:
            return "orphaned pods wait for their agents" if state.orphans else "no pod waits"
        if not self._tried:
            return f"{self._waits} pods are tried in the next cycle"
        why: Counter[str] = Counter()
        for vetoes, count in self._kinds:
            if agent.agent_id in vetoes:
                why[vetoes[agent.agent_id].reason] += count
        told = ", ".join(f"{count} {reason}" for reason, count in why.most_common(MAX_REASONS))
        return f"{self._waits} pods wait, none fits: {told}" if told else f"{self._waits} pods wait"
