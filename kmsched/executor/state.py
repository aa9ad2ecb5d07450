"""What the executor knows: tasks, this node's pods, its Node, kubelet, and what the agent has not acknowledged.

Knows values and the questions that they answer.  Nothing changes here: `executor.core` and `executor.settling` do
that, and nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmsched.core.model import LIFECYCLE_TAINTS
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.tasks import Task

NO_KUBELET = "kubelet has not been started"


@dataclass(frozen=True, slots=True)
class Drain:
    """A task whose pod is to end, since an operator drains the agent. `due_s`: when its deletion may be asked for."""

    pod_uid: str
    grace_s: int
    due_s: float
    asked: int = 0


@dataclass(slots=True)
class State:
    """`seed` makes the update ids unique to this process; durations in seconds, 0 turns the limit off."""

    seed: bytes
    launch_grace_s: float
    idle_timeout_s: float
    tasks: dict[str, Task] = field(default_factory=dict)
    updates: list[do.SendUpdate] = field(default_factory=list)  # sent, not acknowledged; in order
    pods: dict[str, ev.PodSeen] = field(default_factory=dict)  # by uid
    is_synced: bool = False  # `pods` is complete
    drains: dict[str, Drain] = field(default_factory=dict)  # by task id; kept until this process ends
    node: ev.NodeSeen | None = None
    kubelet_trouble: str = NO_KUBELET  # "" while it is healthy
    healthy_since_s: float = 0.0
    is_started: bool = False
    refused: str = ""
    refused_s: float = 0.0
    had_tasks: bool = False
    busy_s: float | None = None  # when there was work last
    settings_version: int = 0  # of what reached it while it runs; 0 nothing
    is_over: bool = False


def unacknowledged_tasks(state: State) -> list[str]:
    """Ids of the tasks of which no update was acknowledged: a restarted agent must be told of them."""
    return [task.task_id for task in state.tasks.values() if not task.is_acknowledged]


def node_trouble(state: State) -> str:
    """Why this node does not take pods; "" when it does."""
    if state.kubelet_trouble:
        return state.kubelet_trouble
    if state.node is None:
        return "there is no Node object yet"
    if state.node.not_ready_reason:
        return f"the Node is not Ready: {state.node.not_ready_reason}"
    taints = [t.key for t in state.node.taints if t.effect == "NoExecute" and t.key in LIFECYCLE_TAINTS]
    return f"the Node still has the taint {taints[0]}" if taints else ""
