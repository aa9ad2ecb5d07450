"""The offers that are held, per agent, and what is known of agents from them.

Knows time to live, rescinding (also of an offer that has not arrived yet) and which executor runs where.  What an
offer is good for is decided in `core.fit`; when to have offers at all, in `core.demand`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from kmsched.core.executors import ours
from kmsched.core.model import NOTHING, Offer, Window
from kmsched.core.resources import ZERO, Resources
from kmsched.core.shares import Share

#: an executor that an offer still lists so long after its end was heard of runs again: the news was old
ENDED_PATIENCE_S = 10.0
#: rescinds that overtook their offer are remembered up to this many
EARLY_RESCINDS = 1000


class Fate(Enum):
    """What became of offers that are not held any more."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    RESCINDED = "rescinded"
    VOID = "void"


class LetGo(NamedTuple):
    """How an agent's last offers went; for people."""

    at: float
    fate: Fate
    reason: str


class AgentOffers(Struct, gc=False):
    """One agent and the offers of it that are held."""

    agent_id: str
    hostname: str
    attributes: Mapping[str, str] = NOTHING
    executor_ids: tuple[str, ...] = ()  # of ours and of other fingerprints, as the newest offer tells
    offers: tuple[Offer, ...] = ()  # hardly ever more than one for each role
    expires_at: float = 0.0
    #: an executor that has ended but may still be listed by the agent: no launch until an offer lacks it (rule 3)
    ended_executor: str = ""
    ended_at: float = 0.0
    rescinded: int = 0  # offers that Mesos took back
    let_go: LetGo | None = None
    has_ports: bool = False  # some offer had any: Mesos counts the ports of this agent
    unavailable: Window | None = None  # its maintenance, as the newest offer tells

    @property
    def node_name(self) -> str:
        return self.hostname.lower()

    def is_usable(self, now: float) -> bool:
        """Is something offered, and no ended executor bars it?"""
        return bool(self.offers) and (not self.ended_executor or now - self.ended_at >= ENDED_PATIENCE_S)

    @property
    def total(self) -> Resources:
        amount = ZERO
        for offer in self.offers:
            amount = amount.plus(offer.resources)
        return amount

    def shares_by_role(self, roles: Sequence[str]) -> list[tuple[str, Sequence[Share]]]:
        """What the held offers have, in the order of `roles`, and nothing of those that are not ours any more."""
        if len(self.offers) == 1:
            (offer,) = self.offers
            return [(offer.role, offer.shares)] if offer.role in roles else []
        found: dict[str, list[Share]] = {}
        for offer in self.offers:
            found.setdefault(offer.role, []).extend(offer.shares)
        return [(role, found[role]) for role in roles if role in found]


@dataclass(slots=True)
class OfferLedger:
    agents: dict[str, AgentOffers] = field(default_factory=dict)
    agent_of: dict[str, str] = field(default_factory=dict)  # offer id -> agent id
    by_node: dict[str, str] = field(default_factory=dict)  # node name -> agent id, the newest
    early: OrderedDict[str, None] = field(default_factory=OrderedDict)
    wall_ahead_s: float = 0.0  # of the time that the core counts: maintenance is told in wall time

    def add(self, offer: Offer, expires_at: float) -> bool:
        """Hold the offer. False: it was rescinded before it came."""
        offer_id, agent_id = offer.offer_id, offer.agent_id
        if offer_id in self.early:
            del self.early[offer_id]
            return False
        if offer_id in self.agent_of:
            # told again: it is no younger for that
            expires_at = min(expires_at, self._let_go(offer_id).expires_at)
        agent = self.agents.get(agent_id)
        if agent is None:
            self.agents[agent_id] = _first_heard_of(offer, expires_at)
        else:
            self._heard_again(agent, offer, expires_at)
        self._found_at(offer.node_name, agent_id)
        self.agent_of[offer_id] = agent_id
        return True

    def _heard_again(self, agent: AgentOffers, offer: Offer, expires_at: float) -> None:
        if agent.hostname != offer.hostname:
            self._forget_node(agent)
            agent.hostname = offer.hostname
        agent.attributes = offer.attributes
        agent.executor_ids = _executors(offer)
        if agent.ended_executor and agent.ended_executor not in offer.executor_ids:
            agent.ended_executor = ""
        if not agent.has_ports:
            agent.has_ports = _has_ports(offer)
        agent.unavailable = offer.unavailable
        agent.expires_at = min(agent.expires_at, expires_at) if agent.offers else expires_at
        agent.offers += (offer,)

    def _found_at(self, node_name: str, agent_id: str) -> None:
        before = self.by_node.get(node_name)
        if before == agent_id:
            return
        self.by_node[node_name] = agent_id
        if before in self.agents and not self.agents[before].offers:
            # the host came back under another id, and nobody tells of the old one's end
            del self.agents[before]

    def rescind(self, offer_id: str, now: float = 0.0) -> None:
        if offer_id not in self.agent_of:
            self.early[offer_id] = None
            while len(self.early) > EARLY_RESCINDS:
                self.early.popitem(last=False)
            return
        agent = self._let_go(offer_id)
        agent.rescinded += 1
        agent.let_go = LetGo(
            now, Fate.RESCINDED, "Mesos took it back: it went to another framework, or the agent is gone"
        )

    def _let_go(self, offer_id: str) -> AgentOffers:
        agent = self.agents[self.agent_of.pop(offer_id)]
        agent.offers = tuple([each for each in agent.offers if each.offer_id != offer_id])
        return agent

    def take(self, agent_id: str, let_go: LetGo | None = None, role: str | None = None) -> tuple[str, ...]:
        """Give up all offers of an agent, or those of one role, to accept or decline them together; their ids."""
        agent = self.agents.get(agent_id)
        if agent is None:
            return ()
        ids = tuple([each.offer_id for each in agent.offers if role is None or each.role == role])
        if ids:
            agent.let_go = let_go
        for offer_id in ids:
            self._let_go(offer_id)
        return ids

    def drop_agent(self, agent_id: str) -> tuple[str, ...]:
        """The agent was removed by Mesos: forget it."""
        ids = self.take(agent_id)
        agent = self.agents.pop(agent_id, None)
        if agent is not None:
            self._forget_node(agent)
        return ids

    def _forget_node(self, agent: AgentOffers) -> None:
        if self.by_node.get(agent.node_name) == agent.agent_id:
            del self.by_node[agent.node_name]

    def void(self, now: float = 0.0) -> None:
        """The subscription ended: every offer is void, without being declined."""
        for agent in self.agents.values():
            if agent.offers:
                agent.let_go = LetGo(now, Fate.VOID, "the subscription with the Mesos master ended")
            agent.offers = ()
        self.agent_of.clear()
        self.early.clear()

    def expired(self, now: float) -> Sequence[AgentOffers]:
        return [a for a in self.agents.values() if a.offers and a.expires_at <= now]

    def held(self) -> Iterable[AgentOffers]:
        """Agents of which at least one offer is held."""
        return [a for a in self.agents.values() if a.offers]

    def usable(self, now: float) -> Iterable[AgentOffers]:
        return [a for a in self.agents.values() if a.is_usable(now)]


def _first_heard_of(offer: Offer, expires_at: float) -> AgentOffers:
    """All at once: fields that are set later cost more, and at a takeover every agent is new."""
    return AgentOffers(
        offer.agent_id,
        offer.hostname,
        offer.attributes,
        _executors(offer),
        (offer,),
        expires_at,
        has_ports=_has_ports(offer),
        unavailable=offer.unavailable,
    )


def _executors(offer: Offer) -> tuple[str, ...]:
    return ours(offer.executor_ids) if offer.executor_ids else ()


def _has_ports(offer: Offer) -> bool:
    return bool(offer.ports) or any(share.ports for share in offer.reserved)
