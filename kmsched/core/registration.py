"""What is known of Nodes that come and go: whose they are, and what was heard of their executors and agents.

Only remembers; what follows is `core.nodes`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmsched.core.model import Node

#: after an executor or an agent has left, Nodes are looked at so soon
LOOK_SOON_S = 0.5


@dataclass(slots=True)
class Registration:
    """By agent id or node name; entries of those that are gone are dropped at each look."""

    framework_id: str = ""  # ours
    bare: set[str] = field(default_factory=set)  # agent ids: the last that was heard is that no executor runs there
    removed: set[str] = field(default_factory=set)  # agent ids: Mesos has removed them
    silent_since: dict[str, float] = field(default_factory=dict)  # nodes: not Ready, and nothing is heard of the agent
    asked_at: dict[str, float] = field(default_factory=dict)  # nodes: when one was asked to be made or to go
    next_look_at: float = 0.0

    def is_ours(self, node: Node) -> bool:
        """Another scheduler of this kind may have Nodes in the same cluster."""
        return bool(node.agent_id) and node.framework_id == self.framework_id != ""

    def executor_left(self, agent_id: str, now: float) -> None:
        self.bare.add(agent_id)
        self._look_soon(now)

    def agent_removed(self, agent_id: str, now: float) -> None:
        self.removed.add(agent_id)
        self._look_soon(now)

    def agent_offers(self, agent_id: str, node_name: str, has_executor: bool) -> None:
        self.removed.discard(agent_id)
        self.silent_since.pop(node_name, None)
        if has_executor:
            self.bare.discard(agent_id)
        else:
            self.bare.add(agent_id)

    def _look_soon(self, now: float) -> None:
        self.next_look_at = min(self.next_look_at, now + LOOK_SOON_S)
