"""Hadoop's client configuration: which HTTP addresses belong to the authority of an hdfs: URI.

Knows core-site.xml, hdfs-site.xml and the properties that name NameNodes, HA and federation included.  It does not
know whether any of them answers, nor who we are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kmsched.clients.hadoop_xml import Property, merged, read_properties
from kmsched.errors import ConfigRefused

CONF_DIR = "HADOOP_CONF_DIR"
DEFAULT_CONF_DIR = Path("/etc/hadoop/conf")
#: later files win
FILES = ("core-site.xml", "hdfs-site.xml")
RPC_PORT = 8020
#: scheme -> property with its address, port where no property says one
HTTP = {"http": ("dfs.namenode.http-address", 9870), "https": ("dfs.namenode.https-address", 9871)}
RPC_ADDRESS = "dfs.namenode.rpc-address"
#: value of dfs.http.policy -> scheme; with both there, the one that needs no certificates
POLICIES = {"HTTP_ONLY": "http", "HTTPS_ONLY": "https", "HTTP_AND_HTTPS": "http"}
#: current name -> what older files call it
OLD_NAMES = {
    "fs.defaultFS": "fs.default.name",
    "dfs.nameservices": "dfs.federation.nameservices",
    "dfs.namenode.http-address": "dfs.http.address",
    "dfs.namenode.https-address": "dfs.https.address",
}
MAX_SUBSTITUTIONS = 20
_VARIABLE = re.compile(r"\$\{([^{}$\s]+)\}")
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::(?P<port>\d{1,5}))?")
_ANY_HOST = frozenset({"0.0.0.0", "[::]", "[0:0:0:0:0:0:0:0]"})


def load_hadoop_conf(environ: Mapping[str, str]) -> HadoopConf:
    """What $HADOOP_CONF_DIR says, else /etc/hadoop/conf; a folder or file that is missing says nothing.

    ConfigRefused: a file that is there cannot be read or is no configuration of Hadoop's.
    """
    folder = Path(environ.get(CONF_DIR) or DEFAULT_CONF_DIR)
    found = [each for name in FILES for each in read_properties(folder / name)]
    return HadoopConf(merged(found), {f"env.{name}": value for name, value in environ.items()})


@dataclass(frozen=True, slots=True)
class HadoopConf:
    """Properties by name; `variables` are those that files may use beside them."""

    properties: Mapping[str, Property] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """The value with its variables replaced; None: not set, or empty. ConfigRefused: they go round in a circle."""
        each = self._property(name)
        if each is None:
            return None
        value = each.value
        for _ in range(MAX_SUBSTITUTIONS):
            match = _VARIABLE.search(value)
            new = match and self._variable(match[1])
            if match is None or new is None:  # one that nobody sets stays as it is, as in Hadoop
                return value.strip() or None
            value = value[: match.start()] + new + value[match.end() :]
        raise self._refused(name, f"it needs more than {MAX_SUBSTITUTIONS} replacements of ${{...}}")

    @property
    def default_fs(self) -> str | None:
        """The URI of the default file system without a slash at its end, as `hdfs://ns1`; None: not set."""
        value = self.get("fs.defaultFS")
        if value is None:
            return None
        if value == "local":
            return "file://"
        return (value if "/" in value else f"hdfs://{value}").rstrip("/")

    def authority(self, uri: str) -> str:
        """Host[:port] or nameservice of an hdfs: URI, the default file system's for `hdfs:///path`.

        ConfigRefused: it names none, and fs.defaultFS is not set or is not HDFS.
        """
        try:
            return urlsplit(uri).netloc or self._default_authority(uri)
        except ValueError as error:
            raise ConfigRefused(f"{uri!r} is not a URI: {error}") from error

    def http_addresses(self, authority: str) -> tuple[str, ...]:
        """`http(s)://host:port` of every NameNode that serves the authority; "" is the default file system's.

        ConfigRefused: the authority or a property's value cannot be an address.
        """
        authority = authority or self._default_authority("hdfs:///")
        scheme = self._scheme()
        if members := self._list(f"dfs.ha.namenodes.{authority}"):
            return tuple(self._of_suffix(scheme, f".{authority}.{member}") for member in members)
        if authority in self._nameservices():
            return (self._of_suffix(scheme, f".{authority}"),)
        host, port = _split(authority, f"the authority of hdfs://{authority}")
        for suffix in self._suffixes():
            if self._serves(scheme, suffix, host, port or RPC_PORT):
                return (self._http_address(scheme, suffix, host),)
        return (f"{scheme}://{host}:{HTTP[scheme][1]}",)

    def _default_authority(self, uri: str) -> str:
        default = self.default_fs
        if default is None:
            raise ConfigRefused(
                f"{uri} names no host and fs.defaultFS is not set; write hdfs://HOST/..., or set {CONF_DIR} to a "
                "folder whose core-site.xml has fs.defaultFS"
            )
        parts = urlsplit(default)
        if parts.scheme not in ("hdfs", "webhdfs", "swebhdfs") or not parts.netloc:
            raise self._refused("fs.defaultFS", f"{uri} needs hdfs://HOST there, or a host of its own")
        return parts.netloc

    def _scheme(self) -> str:
        policy = self.get("dfs.http.policy")
        if policy is None:
            return "http"
        if policy.upper() not in POLICIES:
            raise self._refused("dfs.http.policy", f"it is one of {', '.join(POLICIES)}")
        return POLICIES[policy.upper()]

    def _nameservices(self) -> tuple[str, ...]:
        return self._list("dfs.nameservices") + self._list("dfs.internal.nameservices")

    def _suffixes(self) -> list[str]:
        """Of the properties of each single NameNode; the last is that of a cluster with one."""
        found = []
        for service in self._nameservices():
            members = self._list(f"dfs.ha.namenodes.{service}")
            found += [f".{service}.{member}" for member in members] or [f".{service}"]
        return [*found, ""]

    def _serves(self, scheme: str, suffix: str, host: str, port: int) -> bool:
        """Whether the NameNode of these properties is the one at host:port (RPC)."""
        rpc = self._address(RPC_ADDRESS + suffix)
        if rpc is None and not suffix:
            default = urlsplit(self.default_fs or "")
            if default.scheme == "hdfs" and default.netloc:
                rpc = _split(default.netloc, f"fs.defaultFS={self.default_fs}")
        if rpc is not None and (rpc[0], rpc[1] or RPC_PORT) == (host, port):
            return True
        http = self._address(HTTP[scheme][0] + suffix)
        return not suffix and http is not None and http[0] == host

    def _of_suffix(self, scheme: str, suffix: str) -> str:
        rpc = self._address(RPC_ADDRESS + suffix)
        return self._http_address(scheme, suffix, rpc[0] if rpc else None)

    def _http_address(self, scheme: str, suffix: str, rpc_host: str | None) -> str:
        name, default_port = HTTP[scheme]
        found = self._address(name + suffix)
        host, port = found or (rpc_host, None)
        if host in _ANY_HOST:
            host = rpc_host
        if not host:
            raise ConfigRefused(
                f"no NameNode of {suffix.lstrip('.')}: neither {name}{suffix} nor {RPC_ADDRESS}{suffix} names a host; "
                f"set one in hdfs-site.xml"
            )
        return f"{scheme}://{host}:{port or default_port}"

    def _address(self, name: str) -> tuple[str, int | None] | None:
        value = self.get(name)
        if value is None:
            return None
        return _split(value, self._named(name))

    def _list(self, name: str) -> tuple[str, ...]:
        return tuple(part for each in (self.get(name) or "").split(",") if (part := each.strip()))

    def _property(self, name: str) -> Property | None:
        current, suffix = name, ""
        for known in OLD_NAMES:
            if name.startswith(f"{known}."):
                current, suffix = known, name.removeprefix(known)
        return self.properties.get(name) or self.properties.get(OLD_NAMES.get(current, name) + suffix)

    def _variable(self, name: str) -> str | None:
        name, default = (name, None) if not name.startswith("env.") else _with_default(name)
        if name in self.variables:
            return self.variables[name]
        each = self._property(name)
        return each.value if each else default

    def _named(self, name: str) -> str:
        """File, property and value, for messages."""
        each = self._property(name)
        assert each is not None
        return f"{each.file}: {each.name}={each.value!r}"

    def _refused(self, name: str, why: str) -> ConfigRefused:
        return ConfigRefused(f"{self._named(name)}: {why}")


def _with_default(name: str) -> tuple[str, str | None]:
    """`env.X:-word` is word where X is not set, `env.X` nothing."""
    name, _, default = name.partition(":-")
    return name, default or None


def _split(address: str, where: str) -> tuple[str, int | None]:
    match = _ADDRESS.fullmatch(address)
    port = int(match["port"]) if match and match["port"] else None
    if not match or (port is not None and port > 65535):
        raise ConfigRefused(f"{where}: {address!r} is not HOST or HOST:PORT")
    return match["host"], port
