"""What the executor is to do: the only output of `executor.core.step`.  Imperative and frozen, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from kmsched.core.events import TaskState
from kmsched.core.resources import Resources


@dataclass(frozen=True, slots=True)
class StartKubelet:
    """`allocatable`: what the Node shall have for pods. Everything else of the configuration is the shell's."""

    allocatable: Resources
    hostname: str
    attributes: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True, slots=True)
class RestartKubelet:
    reason: str


@dataclass(frozen=True, slots=True)
class StopKubelet:
    """End it and wait for it; its containers run on."""

    reason: str


@dataclass(frozen=True, slots=True)
class SendUpdate:
    """One status update; kept by the core until it is acknowledged. `made_s`: monotonic time of its making."""

    task_id: str
    state: TaskState
    update_id: bytes  # 16
    message: str
    reason: str  # one of Mesos' REASON_*, or ""
    made_s: float


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete it if it still has this uid; `grace_s` is never 0 (see `draining`)."""

    key: str
    uid: str
    grace_s: int
    reason: str


@dataclass(frozen=True, slots=True)
class IgnoreKill:
    """Tell people that this kill changes nothing."""

    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    level: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConfirmSettings:
    """Tell the scheduler which version of the settings is in force; a loss does not matter, it asks again."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Exit:
    code: int
    reason: str


Effect = (
    StartKubelet
    | RestartKubelet
    | StopKubelet
    | SendUpdate
    | DeletePod
    | IgnoreKill
    | SetLogLevel
    | ConfirmSettings
    | Exit
)
