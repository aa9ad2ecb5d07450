"""The life of a task on the executor: one table, the only place where a task's stage changes.

Knows stages, the signs that move them, and the Mesos state each move reports.  It does not know how a sign is
recognised: that is `executor.core`.

    WAITING ─node usable→ STARTING ─pod runs→ RUNNING ─pod ends→ ENDED
       └──────────────────────┴─ kill, pod gone ┴─→ ENDED
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Literal

from kmsched.core.events import TaskState


class Stage(Enum):
    WAITING = "waiting for kubelet and a usable Node"
    STARTING = "waiting for the pod to run"
    RUNNING = "the pod runs"
    ENDED = "over; its last update waits to be acknowledged"


class Sign(Enum):
    KUBELET_REFUSED = "kubelet cannot be started here"
    NODE_USABLE = "kubelet is healthy and the Node takes pods"
    POD_RUNNING = "a container of the pod has been started"
    POD_SUCCEEDED = "the pod has succeeded"
    POD_FAILED = "the pod has failed"
    POD_GONE = "the pod was deleted, and is over or gone"
    POD_ABSENT = "the pod to adopt is not on this node"
    GRACE_PASSED = "the launch grace has passed"
    KILL_RESERVATION = "kill: the pod is not here, or belongs to another task"


@dataclass(frozen=True, slots=True)
class Move:
    """`reports` None: nothing is told to Mesos (and nothing changes)."""

    stage: Stage
    reports: TaskState | None = None


def _stay(stage: Stage) -> Move:
    return Move(stage)


_START = Move(Stage.STARTING, TaskState.STARTING)
_RUN = Move(Stage.RUNNING, TaskState.RUNNING)
_FINISHED = Move(Stage.ENDED, TaskState.FINISHED)
_FAILED = Move(Stage.ENDED, TaskState.FAILED)
_KILLED = Move(Stage.ENDED, TaskState.KILLED)

#: What moves each stage; a sign that is not listed leaves the stage as it is.
_MOVES: Mapping[Stage, Mapping[Sign, Move]] = {
    Stage.WAITING: {
        Sign.KUBELET_REFUSED: _FAILED,
        Sign.NODE_USABLE: _START,
        Sign.POD_SUCCEEDED: _FINISHED,
        Sign.POD_FAILED: _FAILED,
        Sign.POD_GONE: _KILLED,
        Sign.POD_ABSENT: _FAILED,
        Sign.GRACE_PASSED: _FAILED,
        Sign.KILL_RESERVATION: _KILLED,
    },
    Stage.STARTING: {
        Sign.KUBELET_REFUSED: _FAILED,
        Sign.POD_RUNNING: _RUN,
        Sign.POD_SUCCEEDED: _FINISHED,
        Sign.POD_FAILED: _FAILED,
        Sign.POD_GONE: _KILLED,
        Sign.POD_ABSENT: _FAILED,
        Sign.GRACE_PASSED: _FAILED,
        Sign.KILL_RESERVATION: _KILLED,
    },
    Stage.RUNNING: {
        Sign.KUBELET_REFUSED: _FAILED,
        Sign.POD_SUCCEEDED: _FINISHED,
        Sign.POD_FAILED: _FAILED,
        Sign.POD_GONE: _KILLED,
        Sign.KILL_RESERVATION: _KILLED,
    },
    Stage.ENDED: {},
}

#: Every stage × every sign.
TABLE: Mapping[tuple[Stage, Sign], Move] = MappingProxyType(
    {(stage, sign): _MOVES[stage].get(sign, _stay(stage)) for stage in Stage for sign in Sign}
)


@dataclass(frozen=True, slots=True)
class Task:
    """One reservation. Times are monotonic seconds."""

    task_id: str
    mode: Literal["bind", "adopt"]
    pod_key: str
    pod_uid: str
    stage: Stage
    since_s: float  # when it came to this stage
    is_acknowledged: bool = False  # the agent has confirmed an update of it
    has_pod: bool = False  # its pod has been seen on this node
    updates_made: int = 0


def moved(task: Task, sign: Sign, now: float) -> tuple[Task, TaskState | None]:
    """The task after `sign`, and what Mesos is told; the task itself when the sign means nothing to it."""
    move = TABLE[task.stage, sign]
    if move.reports is None:
        return task, None
    return replace(task, stage=move.stage, since_s=now, updates_made=task.updates_made + 1), move.reports
