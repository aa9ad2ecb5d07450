"""The settings of a group of schedulers: where etcd is, how long a lease lives, and what follows from that.

Knows the inequalities between the durations, and refuses what breaks them; nothing is ever adjusted.  What is not given
is a fixed share of the lease's TTL.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from kmsched import values
from kmsched.errors import ConfigRefused, UsageError
from kmsched.http_settings import http_settings
from kmsched.small_file import small_text
from kmsched.values import Kind

#: of the TTL
SHARES: Mapping[str, float] = {
    "ha-renew-interval": 0.2,
    "ha-request-deadline": 0.32,
    "ha-renew-deadline": 0.68,
    "ha-call-deadline": 0.2,
}
#: etcd grants no shorter lease with its default election timeout
MIN_TTL_S = 2
#: schedulers that share a framework; each of them is a watch of all pods, a lease, and a connection to the leader
MAX_INSTANCES = 5
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")


class Given(Protocol):
    """Values by flag name, None where nothing was given."""

    def __getitem__(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class HaConfig:
    """Durations in seconds. `url` is where peers reach this process directly."""

    etcd_servers: tuple[str, ...]
    etcd_user: str | None
    etcd_password_file: str | None
    etcd_ca_file: str | None
    etcd_cert_file: str | None
    etcd_key_file: str | None
    lease_ttl_s: int
    renew_interval_s: float
    #: for every call to etcd
    request_deadline_s: float
    #: after the last successful renewal was sent; then a leader stops acting
    renew_deadline_s: float
    #: for every call that changes something in Kubernetes or Mesos
    call_deadline_s: float
    instance: str
    url: str


def ha_config(given: Given, hostname: str) -> HaConfig | None:
    """None without `--ha`. UsageError, ConfigRefused: what is missing, or contradicts."""
    if not given["ha"]:
        return None
    if not given["etcd-servers"]:
        raise ConfigRefused("--ha needs --etcd-servers: name the members of etcd as host:port, or URLs")
    ttl_s = given["ha-lease-ttl"]
    if ttl_s != int(ttl_s) or ttl_s < MIN_TTL_S:
        raise ConfigRefused(f"--ha-lease-ttl={_words(ttl_s)}: etcd counts whole seconds; give {MIN_TTL_S}s or more")
    durations = {name: given[name] if given[name] is not None else share * ttl_s for name, share in SHARES.items()}
    _refuse_contradictions(durations, ttl_s)
    if bool(given["etcd-user"]) != bool(given["etcd-password-file"]):
        raise ConfigRefused("--etcd-user and --etcd-password-file go together; give both or none")
    instance = given["ha-instance"] or hostname
    if not _INSTANCE.fullmatch(instance):
        raise UsageError(f"--ha-instance: {instance!r} is no name; give letters, digits, dots and dashes")
    scheme = http_settings(given).scheme
    url = given["ha-url"] or f"{scheme}://{_host(given['address'])}:{given['port']}"
    _refuse_unreachable(url)
    if scheme == "https" and urlsplit(url).scheme != scheme:
        raise ConfigRefused(f"--ha-url={url}: with --http-tls-cert-file this scheduler speaks TLS only; write https://")
    return HaConfig(
        etcd_servers=tuple(_server(each) for each in given["etcd-servers"]),
        etcd_user=given["etcd-user"],
        etcd_password_file=given["etcd-password-file"],
        etcd_ca_file=given["etcd-ca-file"],
        etcd_cert_file=given["etcd-cert-file"],
        etcd_key_file=given["etcd-key-file"],
        lease_ttl_s=int(ttl_s),
        renew_interval_s=durations["ha-renew-interval"],
        request_deadline_s=durations["ha-request-deadline"],
        renew_deadline_s=durations["ha-renew-deadline"],
        call_deadline_s=durations["ha-call-deadline"],
        instance=instance,
        url=url,
    )


def read_password(config: HaConfig) -> str | None:
    """etcd's password without its final line break. ConfigRefused names the file."""
    if config.etcd_password_file is None:
        return None
    try:
        password = small_text(Path(config.etcd_password_file)).rstrip("\r\n")
    except ValueError as error:
        raise ConfigRefused(
            f"--etcd-password-file: cannot read {config.etcd_password_file!r}: {error}; put the password there"
        ) from None
    if not password:
        raise ConfigRefused(f"--etcd-password-file: {config.etcd_password_file!r} is empty; put the password there")
    return password


def _refuse_contradictions(durations: Mapping[str, float], ttl_s: float) -> None:
    """A leader stops in time before another can lead, and is not stopped by one renewal that is slow."""
    named = {**durations, "ha-lease-ttl": ttl_s}
    for sums, bound in (
        (("ha-renew-interval", "ha-request-deadline"), "ha-renew-deadline"),
        (("ha-renew-deadline", "ha-call-deadline"), "ha-lease-ttl"),
    ):
        if sum(named[each] for each in sums) >= named[bound]:
            left = " + ".join(f"--{each}={_words(named[each])}" for each in sums)
            raise ConfigRefused(f"{left} must be less than --{bound}={_words(named[bound])}; change one of them")
    if named["ha-request-deadline"] > ttl_s / 3:
        raise ConfigRefused(
            f"--ha-request-deadline={_words(named['ha-request-deadline'])} must be at most a third of"
            f" --ha-lease-ttl={_words(ttl_s)}, or one member of etcd that hangs costs the lead"
        )


def _refuse_unreachable(url: str) -> None:
    """Peers connect to it: an address that means another machine on each of them is no use."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_useless = host in ("", "localhost") or host.endswith(".localhost")
    else:
        is_useless = address.is_loopback or address.is_unspecified
    if is_useless:
        raise ConfigRefused(
            f"--ha: peers cannot reach this scheduler at {url}; give --address (or --ha-url) an address of this host"
            " that the others can reach"
        )


def _server(text: str) -> str:
    try:
        if "://" in text and not urlsplit(text).port:
            raise ValueError("is no server; write host:port or http(s)://host:port")
        return values.read_server(text, "http")
    except ValueError as refusal:
        raise UsageError(f"--etcd-servers: {text!r} {refusal}") from None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _words(seconds: float) -> str:
    return values.write(Kind.DURATION, seconds)
