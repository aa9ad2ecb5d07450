"""The calls of the Mesos v1 scheduler API, as values that a client sends.

Knows which fields each call has.  Refuses to know when to send one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from kmsched.wire.mesos import Json

CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE", "RESERVATION_REFINEMENT")

#: Mesos' own default for declined and unused resources.
DEFAULT_REFUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class FrameworkInfo:
    """Who subscribes; `failover_timeout_s` is how long tasks outlive the last connection."""

    name: str
    user: str
    roles: Sequence[str] = ("*",)
    failover_timeout_s: float = 0.0
    checkpoint: bool = True
    principal: str | None = None
    hostname: str | None = None
    webui_url: str | None = None
    capabilities: Sequence[str] = CAPABILITIES

    def to_json(self, framework_id: str | None) -> Json:
        """As Mesos takes it; without `framework_id` Mesos makes a new framework."""
        info: Json = {
            "name": self.name,
            "user": self.user,
            "roles": list(self.roles),
            "failover_timeout": self.failover_timeout_s,
            "checkpoint": self.checkpoint,
            "capabilities": [{"type": capability} for capability in self.capabilities],
        }
        optional = {"principal": self.principal, "hostname": self.hostname, "webui_url": self.webui_url}
        info |= {name: value for name, value in optional.items() if value is not None}
        if framework_id is not None:
            info["id"] = {"value": framework_id}
        return info


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its type, and the body under the type's own field (None: it has none)."""

    kind: str
    body: Json | None = None

    def encode(self, framework_id: str | None) -> bytes:
        call: Json = {"type": self.kind}
        if framework_id is not None:
            call["framework_id"] = {"value": framework_id}
        if self.body is not None:
            call[self.kind.lower()] = self.body
        return msgspec.json.encode(call)


def subscribe(framework: FrameworkInfo, framework_id: str | None) -> Call:
    return Call("SUBSCRIBE", {"framework_info": framework.to_json(framework_id)})


def accept(offer_ids: Iterable[str], tasks: Sequence[Json], *, refuse_s: float = DEFAULT_REFUSE_S) -> Call:
    """LAUNCH of the TaskInfos `tasks` on the offers, which are of one agent and one role."""
    return accept_operations(offer_ids, [{"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}], refuse_s=refuse_s)


def accept_operations(
    offer_ids: Iterable[str], operations: Sequence[Json], *, refuse_s: float = DEFAULT_REFUSE_S
) -> Call:
    """Any operations (RESERVE, LAUNCH, ...), done in their order."""
    return Call(
        "ACCEPT",
        {"offer_ids": _ids(offer_ids), "operations": list(operations), "filters": _filters(refuse_s)},
    )


def decline(offer_ids: Iterable[str], *, refuse_s: float = DEFAULT_REFUSE_S) -> Call:
    return Call("DECLINE", {"offer_ids": _ids(offer_ids), "filters": _filters(refuse_s)})


def answer_inverse_offer(offer_id: str, *, may_go: bool, refuse_s: float) -> Call:
    """Whether the agent may go down; Mesos asks again after `refuse_s` at the earliest."""
    body = {"inverse_offer_ids": _ids([offer_id]), "filters": _filters(refuse_s)}
    return Call("ACCEPT_INVERSE_OFFERS" if may_go else "DECLINE_INVERSE_OFFERS", body)


def revive(roles: Sequence[str] = ()) -> Call:
    """Drop all filters and lift SUPPRESS, for all roles when none is given."""
    return Call("REVIVE", {"roles": list(roles)} if roles else None)


def suppress(roles: Sequence[str] = ()) -> Call:
    return Call("SUPPRESS", {"roles": list(roles)} if roles else None)


def acknowledge(agent_id: str, task_id: str, uuid: bytes) -> Call:
    body = {"agent_id": _id(agent_id), "task_id": _id(task_id), "uuid": _base64(uuid)}
    return Call("ACKNOWLEDGE", body)


def reconcile(tasks: Iterable[tuple[str, str | None]] = ()) -> Call:
    """Ask for the state of (task id, agent id) pairs; of all tasks when there are none."""
    wanted = [
        {"task_id": _id(task_id)} | ({"agent_id": _id(agent_id)} if agent_id else {}) for task_id, agent_id in tasks
    ]
    return Call("RECONCILE", {"tasks": wanted})


def kill(task_id: str, agent_id: str | None = None) -> Call:
    body: Json = {"task_id": _id(task_id)}
    if agent_id is not None:
        body["agent_id"] = _id(agent_id)
    return Call("KILL", body)


def shutdown(executor_id: str, agent_id: str) -> Call:
    return Call("SHUTDOWN", {"executor_id": _id(executor_id), "agent_id": _id(agent_id)})


def message(agent_id: str, executor_id: str, data: bytes) -> Call:
    """Bytes for an executor, delivered at best once."""
    body = {"agent_id": _id(agent_id), "executor_id": _id(executor_id), "data": _base64(data)}
    return Call("MESSAGE", body)


def teardown() -> Call:
    """Ends the framework, its tasks and executors, for good."""
    return Call("TEARDOWN")


def _id(value: str) -> Json:
    return {"value": value}


def _ids(values: Iterable[str]) -> list[Json]:
    return [_id(value) for value in values]


def _filters(refuse_s: float) -> Json:
    return {"refuse_seconds": refuse_s}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
