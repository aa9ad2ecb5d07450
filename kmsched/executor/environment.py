"""What Mesos tells an executor through its environment (MESOS_*)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.mesos_executor import agent_url
from kmsched.clients.tls_refusals import TlsNames
from kmsched.errors import ConfigRefused, ProtocolError

#: what libprocess calls its settings of TLS
SSL = "LIBPROCESS_SSL_"
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
    agent_tls: TlsSettings | None = None  # None: plain HTTP


def read_environment(environ: Mapping[str, str]) -> MesosEnvironment:
    """ConfigRefused names the variable that is missing or unreadable."""
    pid = _required(environ, "MESOS_SLAVE_PID")
    try:
        tls = agent_tls(environ)
        url = agent_url(pid, "http" if tls is None else "https")
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
        agent_tls=tls,
    )


def agent_tls(environ: Mapping[str, str]) -> TlsSettings | None:
    """As libprocess reads it; None: the agent is asked without TLS.

    An agent does not hand on its own variables: they are here if its --executor_environment_variables names them.
    """
    if not _is_on(environ, "ENABLED"):
        return None
    is_checked = _is_on(environ, "VERIFY_SERVER_CERT") or _is_on(environ, "VERIFY_CERT")
    ca_file, folder = environ.get(f"{SSL}CA_FILE"), environ.get(f"{SSL}CA_DIR")
    if is_checked and folder and not ca_file:
        raise ConfigRefused(f"{SSL}CA_DIR={folder} is not read: name a file of authorities as {SSL}CA_FILE")
    return TlsSettings(
        ca_file=ca_file if is_checked else None,
        cert_file=environ.get(f"{SSL}CERT_FILE"),
        key_file=environ.get(f"{SSL}KEY_FILE"),
        insecure=not is_checked,
        # the agent is asked by its address: no other name is there to be checked
        checks_names=_is_on(environ, "VERIFY_IPADD"),
        names=TlsNames(f"{SSL}ENABLED", f"{SSL}CA_FILE", f"{SSL}CERT_FILE", f"{SSL}KEY_FILE"),
    )


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(SSL + name) in ("1", "true")


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
