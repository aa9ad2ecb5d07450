"""What the doctor looks at: one scheduler's configuration, its two upstreams, and the host that it is on.

Knows how each is reached, and asks what several checks want only once.  It judges nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from kmsched.artifact_uri import without_digest
from kmsched.artifacts.digests import Read
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.etcd import EtcdClient
from kmsched.clients.etcd_access import etcd_client, etcd_tls
from kmsched.clients.http import Transport
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.mesos import Credentials
from kmsched.clients.mesos_access import mesos_tls
from kmsched.clients.mesos_operator import MesosOperator
from kmsched.clock import Clock
from kmsched.config import SchedulerConfig
from kmsched.doctor.asked import Asked
from kmsched.doctor.findings import NotChecked
from kmsched.errors import ConfigRefused
from kmsched.threads import in_thread
from kmsched.wire import mesos_operator as wire

MAX_NAMED = 3
SYSTEMCTL_S = 5.0
#: for one artifact; the kubelet has some 100 MB
READ_S = 45.0
ETCD_CALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Here:
    """This host, and what a test puts in its place. All of these block, for a short while."""

    #: the content of a URI in pieces; ArtifactError, UsageError, ConfigRefused
    read: Read
    #: HTTP addresses of the NameNodes of an hdfs: URI; ConfigRefused
    namenodes: Callable[[str], tuple[str, ...]]
    is_local: Callable[[str], bool]
    systemd_version: Callable[[], str]
    python_version: str = sys.version.split()[0]
    locks: Path = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Reached:
    """How to get at the two upstreams; both raise ConfigRefused when a file of theirs is of no use."""

    kube_access: Callable[[], KubeAccess]
    credentials: Callable[[], Credentials | None]
    make_transport: Callable[[TlsSettings], Transport]


@dataclass(slots=True)
class Subject:
    """One scheduler, as its configuration says. Close it when done."""

    config: SchedulerConfig
    reached: Reached
    here: Here
    clock: Clock
    agents: Asked[wire.GetAgents] = field(init=False)
    frameworks: Asked[wire.GetFrameworks] = field(init=False)
    master_flags: Asked[wire.GetFlags] = field(init=False)
    #: URI -> SHA-256 of what can be read there
    digests: Mapping[str, Asked[str]] = field(init=False)
    _transports: dict[tuple[str, TlsSettings], Transport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.agents = Asked(lambda: self.mesos().ask(wire.GetAgents))
        self.frameworks = Asked(lambda: self.mesos().ask(wire.GetFrameworks))
        self.master_flags = Asked(lambda: self.mesos().ask(wire.GetFlags))
        self.digests = {uri: Asked(partial(self._digest, uri)) for _, uri in self.artifacts()}

    @property
    def has_peers(self) -> bool:
        """Whether other schedulers share the work, so that nothing may hold for this host alone."""
        return self.config.ha is not None

    async def close(self) -> None:
        for transport in self._transports.values():
            await transport.close()

    # --- whom to ask

    def kube(self) -> Mapping[str, KubeClient]:
        """A client of each API server, by its URL.  NotChecked: the credentials are of no use."""
        try:
            access = self.reached.kube_access()
            self._transport("kubernetes", access.tls)
        except ConfigRefused as error:
            raise NotChecked(f"the credentials cannot be used: {error}") from error
        make = partial(self._transport, "kubernetes")
        return {
            server: KubeClient(replace(access, servers=(server,)), make_transport=make, clock=self.clock)
            for server in access.servers
        }

    def mesos(self) -> MesosOperator:
        """NotChecked: the secret cannot be read."""
        try:
            credentials = self.reached.credentials()
        except ConfigRefused as error:
            raise NotChecked(f"the secret cannot be used: {error}") from error
        return MesosOperator(self.config.mesos_masters, transport=self.mesos_transport(), credentials=credentials)

    def etcd(self, *endpoints: str) -> EtcdClient:
        """Of all endpoints, or of those given. NotChecked: password or certificates are of no use, or there is none."""
        ha = self.config.ha
        if ha is None:
            raise NotChecked("without --ha there is no etcd")
        try:
            transport = self._transport("etcd", etcd_tls(ha))
            return etcd_client(ha, transport, self.clock, call_deadline_s=ETCD_CALL_S, endpoints=endpoints)
        except ConfigRefused as error:
            raise NotChecked(f"the credentials of etcd cannot be used: {error}") from error

    def mesos_transport(self) -> Transport:
        """NotChecked: the certificates are of no use."""
        try:
            return self._transport("mesos", mesos_tls(self.config))
        except ConfigRefused as error:
            raise NotChecked(f"the certificates for Mesos cannot be used: {error}") from error

    def plain(self) -> Transport:
        """For servers without settings of their own: the usual certificates."""
        return self._transport("plain", TlsSettings())

    def kube_transport(self) -> Transport:
        self.kube()
        return self._transport("kubernetes", self.reached.kube_access().tls)

    async def begin(self, uri: str) -> None:
        """Read the first bytes of an artifact. ArtifactError, UsageError, ConfigRefused: they cannot be read."""
        await in_thread(partial(next, iter(self.here.read(without_digest(uri))), b""))

    async def _digest(self, uri: str) -> str:
        return await in_thread(partial(_sha256, self.here.read, without_digest(uri), self.clock))

    def etcd_transport(self) -> Transport:
        self.etcd()
        assert self.config.ha is not None
        return self._transport("etcd", etcd_tls(self.config.ha))

    def _transport(self, name: str, tls: TlsSettings) -> Transport:
        if (name, tls) not in self._transports:
            self._transports[name, tls] = self.reached.make_transport(tls)
        return self._transports[name, tls]

    # --- what is shared

    def artifacts(self) -> list[tuple[str, str]]:
        """(flag, URI) of each file that agents need."""
        return list(self.config.artifacts.items())

    async def other_hosts(self) -> list[str]:
        """Names of the agents that are not on this host.

        NotChecked: there are no agents yet.  Errors as for `MesosOperator.ask`.
        """
        found = []
        agents = (await self.agents.answer()).agents
        if not agents:
            raise NotChecked("no agent is registered with the Mesos master yet")
        for agent in agents:
            address = urlsplit(f"//{agent.pid.partition('@')[2]}").hostname or ""
            if not self.here.is_local(address):
                found.append(agent.agent_info.hostname)
        return sorted(found)


def _sha256(read: Read, uri: str, clock: Clock) -> str:
    digest, length = hashlib.sha256(), 0
    until = clock.monotonic() + READ_S
    for piece in read(uri):
        digest.update(piece)
        length += len(piece)
        if clock.monotonic() > until:
            raise NotChecked(f"{uri}: only {length >> 20} MiB came within {READ_S:g} s")
    return digest.hexdigest()


def local_path(uri: str) -> Path | None:
    """The path of a file: URI."""
    parts = urlsplit(without_digest(uri))
    return Path(parts.path) if parts.scheme == "file" else None


def is_there(path: Path) -> bool:
    """NotChecked: this user cannot see whether it is."""
    try:
        return path.exists()
    except OSError as error:
        why = f"{error.strerror}; run the doctor as the scheduler's user"
        raise NotChecked(f"{path} cannot be seen by this user: {why}") from error


def is_loopback(host: str) -> bool:
    """Whether it means "this host" on every host. Names but localhost are not looked up."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def is_local(address: str) -> bool:
    """Whether this IP address is one of this host's: only then can a socket be bound to it."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(where)
    except OSError:
        return False
    return True


def systemd_version() -> str:
    """Like "252".  NotChecked: there is no systemd."""
    try:
        done = subprocess.run(
            ["systemctl", "--version"], check=True, capture_output=True, text=True, timeout=SYSTEMCTL_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotChecked(f"systemctl --version: {error}") from error
    return done.stdout.split()[1]


def named(names: list[str]) -> str:
    """ "a, b, c and 4 more"."""
    shown = ", ".join(names[:MAX_NAMED])
    return f"{shown} and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else shown
