"""Names, addresses and paths of one testbed, all derived from KM_TESTBED_NAME and KM_TESTBED_NET.

Knows nothing of processes or files' contents. Two testbeds with different names and networks share only the build
cache.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import UsageError

DATA = Path(__file__).resolve().parent / "files"
MESOS_MASTER_PORT = 5050
MESOS_AGENT_PORT = 5051
ZOOKEEPER_PORT = 2181
API_PORT = 6443
#: first address of each kind of host, and how many of it fit
ADDRESSES = {"s": (11, 9), "m": (21, 9), "h": (31, 100)}
DEFAULT_HOSTS = 3
DEFAULT_MASTERS = 1
DEFAULT_SCHEDULERS = 1
MAX_NAME_LENGTH = 8  # veth names are at most 15 characters long


@dataclass(frozen=True, slots=True)
class Settings:
    """One testbed. Paths are absolute; `net` is the first three octets of its /24."""

    name: str
    net: str
    root: Path
    cache: Path
    node_grace_s: int = 16
    allocation_interval: str = "1secs"
    master_flags: tuple[str, ...] = ()
    agent_flags: tuple[str, ...] = ()
    api_flags: tuple[str, ...] = ()
    keep_gocache: bool = False

    @property
    def state(self) -> Path:
        return self.root / self.name

    @property
    def lock(self) -> Path:
        return self.root / f".{self.name}.lock"

    @property
    def gateway(self) -> str:
        """The lab's own address on the bridge: API server, and what `lab` runs."""
        return f"{self.net}.1"

    @property
    def kube(self) -> Path:
        return self.state / "kube"

    @property
    def key(self) -> Path:
        return self.state / "ssh" / "key"

    @property
    def known_hosts(self) -> Path:
        return self.state / "ssh" / "known_hosts"

    @property
    def connector(self) -> Path:
        """What ssh starts to reach hosts."""
        return self.state / "ssh" / "connect.py"

    def address(self, host: str) -> str:
        first, _ = ADDRESSES[host[0]]
        return f"{self.net}.{first + number_of(host) - 1}"

    def pod_cidr(self, host: str) -> str:
        """The /24 that pods of agent host `hN` get; it lies outside the hosts' own network."""
        return f"{self.net.rsplit('.', 1)[0]}.{100 + number_of(host)}.0/24"


def number_of(host: str) -> int:
    return int(host[1:])


def check_host_name(host: str) -> str:
    """`host`, if it can be the name of a host of some testbed.

    Raises:
        UsageError: it cannot.
    """
    match = re.fullmatch(r"([smh])([1-9]\d{0,2})", host)
    if match is None or int(match[2]) > ADDRESSES[match[1]][1]:
        raise UsageError(f"no such host: {host!r}; hosts are s1.. (scheduler), m1.. (Mesos master), h1.. (agent)")
    return host


def names(kind: str, count: int) -> list[str]:
    """`kind`1 to `kind``count`.

    Raises:
        UsageError: more than the address plan holds, or fewer than one.
    """
    most = ADDRESSES[kind][1]
    if not 1 <= count <= most:
        raise UsageError(f"{count} hosts of kind {kind!r} asked for; 1 to {most} are possible")
    return [f"{kind}{number}" for number in range(1, count + 1)]


def _network(text: str) -> str:
    try:
        ipaddress.IPv4Address(f"{text}.0")
    except ipaddress.AddressValueError:
        raise UsageError(f"KM_TESTBED_NET={text!r} is not three octets, such as 10.88.0") from None
    if 100 <= int(text.split(".")[2]) <= 200:
        raise UsageError(f"KM_TESTBED_NET={text!r}: the third octet must not be 100 to 200, pods have those")
    return text


def _seconds(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or not 4 <= int(text) <= 3600:
        raise UsageError(f"{name}={text!r}: whole seconds, 4 to 3600, are wanted")
    return int(text)


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that KM_* variables ask for.

    Raises:
        UsageError: one of them cannot be used; the message names it.
    """
    name = environ.get("KM_TESTBED_NAME") or "km"
    if not re.fullmatch(rf"[a-z][a-z0-9]{{0,{MAX_NAME_LENGTH - 1}}}", name):
        raise UsageError(
            f"KM_TESTBED_NAME={name!r}: want a lower-case letter and up to {MAX_NAME_LENGTH - 1} letters or digits"
        )
    return Settings(
        name=name,
        net=_network(environ.get("KM_TESTBED_NET") or "10.88.0"),
        root=Path(environ.get("KM_TESTBED_DIR") or "/var/lib/kmsched-testbed").absolute(),
        cache=Path(environ.get("KM_CACHE_DIR") or "/var/cache/kmsched").absolute(),
        node_grace_s=_seconds(environ, "KM_TESTBED_NODE_GRACE_S", 16),
        allocation_interval=environ.get("KM_TESTBED_ALLOCATION_INTERVAL") or "1secs",
        master_flags=tuple(environ.get("KM_TESTBED_MASTER_FLAGS", "").split()),
        agent_flags=tuple(environ.get("KM_TESTBED_AGENT_FLAGS", "").split()),
        api_flags=tuple(environ.get("KM_TESTBED_API_FLAGS", "").split()),
        keep_gocache=environ.get("KM_KEEP_GOCACHE") == "1",
    )
