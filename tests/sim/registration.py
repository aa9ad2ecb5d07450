"""An agent as the master knows it: what runs there, what of it is taken, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kmsched.core import effects as do
from kmsched.core.events import TaskState
from kmsched.core.model import Offer
from kmsched.core.ports import Ports, without
from kmsched.core.resources import ZERO, Resources
from kmsched.core.updates import TERMINAL
from tests.sim.agent import Agent
from tests.sim.loop import Channel

#: of each agent
PORTS: Ports = ((31000, 31019),)


@dataclass(slots=True)
class Held:
    """A task as the master knows it."""

    state: TaskState
    resources: Resources
    ports: frozenset[int] = frozenset()

    @classmethod
    def of(cls, launch: do.Launch, state: TaskState) -> Held:
        ports = {n for share in launch.shares for first, last in share.ports for n in range(first, last + 1)}
        return cls(state, launch.resources.without_pods(), frozenset(ports))


@dataclass(slots=True)
class Registration:
    """An agent of which the master knows; `channel` None while it is away."""

    agent: Agent
    channel: Channel | None
    tasks: dict[str, Held] = field(default_factory=dict)
    has_executor: bool = False
    refused_until: float = 0.0
    is_unreachable: bool = False

    @property
    def held(self) -> Resources:
        amount = self.agent.executor_resources if self.has_executor else ZERO
        for task in self.tasks.values():
            if task.state not in TERMINAL:
                amount = amount.plus(task.resources)
        return amount

    @property
    def ports(self) -> frozenset[int]:
        """Those that tasks hold."""
        return frozenset().union(*(task.ports for task in self.tasks.values() if task.state not in TERMINAL))

    def free(self, offered: Iterable[Offer]) -> tuple[Resources, Ports]:
        """What is neither held nor `offered`, and the ranges of ports of which that is true."""
        amount, ports = self.agent.total.minus(self.held), without(PORTS, self.ports)
        for offer in offered:
            amount = amount.minus(offer.resources)
            ports = without(ports, [n for first, last in offer.ports for n in range(first, last + 1)])
        return amount, ports
