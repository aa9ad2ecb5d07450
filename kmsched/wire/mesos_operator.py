"""What the Mesos v1 operator API tells of masters, agents, frameworks, flags and quotas.

Only the fields that `km doctor` reads, as typed structs; what else comes is skipped unread.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from kmsched.errors import ProtocolError
from kmsched.wire.mesos import Id, Scalar
from kmsched.wire.typed import decode


class Flag(Struct, frozen=True):
    name: str
    value: str | None = None


class AgentInfo(Struct, frozen=True):
    hostname: str
    id: Id | None = None


class Agent(Struct, frozen=True):
    agent_info: AgentInfo
    active: bool = True
    version: str = ""
    pid: str = ""  # like slave(1)@10.0.0.1:5051


class FrameworkInfo(Struct, frozen=True):
    name: str
    id: Id | None = None
    user: str = ""
    principal: str | None = None
    checkpoint: bool = False
    failover_timeout: float = 0.0
    roles: list[str] = []


class Framework(Struct, frozen=True):
    framework_info: FrameworkInfo
    active: bool = False
    connected: bool = False
    recovered: bool = False


class QuotaConfig(Struct, frozen=True):
    role: str
    limits: dict[str, Scalar] = {}


class QuotaStatus(Struct, frozen=True):
    configs: list[QuotaConfig] = []


class GetAgents(Struct, frozen=True):
    agents: list[Agent] = []


class GetFrameworks(Struct, frozen=True):
    frameworks: list[Framework] = []
    completed_frameworks: list[Framework] = []


class GetFlags(Struct, frozen=True):
    flags: list[Flag] = []

    def value(self, name: str) -> str | None:
        """None: not set, or this Mesos has no such flag."""
        return next((flag.value for flag in self.flags if flag.name == name), None)


class GetQuota(Struct, frozen=True):
    status: QuotaStatus = QuotaStatus()


class VersionInfo(Struct, frozen=True):
    version: str


class AgentFlags(Struct, frozen=True):
    """The agent's own /flags, of the older API."""

    flags: dict[str, str] = {}


Answer = TypeVar("Answer", GetAgents, GetFrameworks, GetFlags, GetQuota)

#: the type of the answer -> its name in calls and answers
CALLS: dict[type[Struct], str] = {
    GetAgents: "GET_AGENTS",
    GetFrameworks: "GET_FRAMEWORKS",
    GetFlags: "GET_FLAGS",
    GetQuota: "GET_QUOTA",
}

_envelope_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_version_decoder = msgspec.json.Decoder(VersionInfo)
_agent_flags_decoder = msgspec.json.Decoder(AgentFlags)


def call(kind: type[Struct]) -> bytes:
    return msgspec.json.encode({"type": CALLS[kind]})


def answer(kind: type[Answer], body: bytes) -> Answer:
    """What came back for `call(kind)`.  ProtocolError names the field at fault."""
    name = CALLS[kind]
    field = name.lower()
    envelope = decode(_envelope_decoder, body, f"the answer to {name}")
    if field not in envelope:
        raise ProtocolError(f"the answer to {name} comes without its field `{field}`")
    return decode(msgspec.json.Decoder(kind), bytes(envelope[field]), f"`{field}` of the answer to {name}")


def version(body: bytes) -> str:
    """Of a master's or agent's /version."""
    return decode(_version_decoder, body, "the answer to GET /version").version


def agent_flags(body: bytes) -> dict[str, str]:
    return decode(_agent_flags_decoder, body, "the answer to an agent's GET /flags").flags
