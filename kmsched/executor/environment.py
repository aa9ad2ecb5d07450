"""What Mesos tells an executor through its environment (MESOS_*)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmsched.clients.mesos_executor import agent_url
from kmsched.errors import ConfigRefused, ProtocolError

_UNITS_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(" + "|".join(_UNITS_S) + ")")


@dataclass(frozen=True, slots=True)
class MesosEnvironment:
    """`recovery_s`: how long a restarting agent is waited for, 0 without checkpointing."""

    framework_id: str
    executor_id: str
    agent_id: str
    agent_url: str
    agent_ip: str  # "" when it is no address that others could reach
    sandbox: Path
    recovery_s: float
    pause_max_s: float
    token: str | None


def read_environment(environ: Mapping[str, str]) -> MesosEnvironment:
    """ConfigRefused names the variable that is missing or unreadable."""
    pid = _required(environ, "MESOS_SLAVE_PID")
    try:
        url = agent_url(pid)
    except ProtocolError as error:
        raise ConfigRefused(str(error)) from error
    sandbox = environ.get("MESOS_SANDBOX") or environ.get("MESOS_DIRECTORY") or "."
    has_checkpoint = environ.get("MESOS_CHECKPOINT") in ("1", "true")
    return MesosEnvironment(
        framework_id=_required(environ, "MESOS_FRAMEWORK_ID"),
        executor_id=_required(environ, "MESOS_EXECUTOR_ID"),
        agent_id=_required(environ, "MESOS_SLAVE_ID"),
        agent_url=url,
        agent_ip=_reachable(environ.get("LIBPROCESS_IP", "")) or _reachable(pid.partition("@")[2].rpartition(":")[0]),
        sandbox=Path(sandbox),
        recovery_s=_duration_s(environ, "MESOS_RECOVERY_TIMEOUT", "15mins") if has_checkpoint else 0.0,
        pause_max_s=_duration_s(environ, "MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
        token=environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN") or None,
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise ConfigRefused(f"{name} is not set: km executor is started by a Mesos agent, not by hand")
    return value


def _duration_s(environ: Mapping[str, str], name: str, default: str) -> float:
    text = environ.get(name) or default
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigRefused(f"{name}={text!r} is no duration of Mesos, like 15mins")
    return float(match[1]) * _UNITS_S[match[2]]


def _reachable(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return ""
    return "" if address.is_loopback or address.is_unspecified else str(address)
