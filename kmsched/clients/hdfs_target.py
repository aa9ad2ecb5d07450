"""The folder that an hdfs: URI names, and the HTTP addresses of its NameNodes.

Knows the form of both; what Hadoop's files say of an authority is `clients.hadoop_conf`'s.  It asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.errors import UsageError

DEFAULT_HTTP_PORT = 9870

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_.+=@-]+)*")


@dataclass(frozen=True, slots=True)
class Target:
    """A folder as its URI names it: the authority is Hadoop's (RPC) one and may be empty."""

    authority: str
    folder: str

    def uri(self, path: str) -> str:
        return f"hdfs://{self.authority}{path}"


def target_of(uri: str) -> Target:
    """UsageError: not `hdfs://HOST[:PORT]/dir`."""
    parts = urlsplit(uri)
    folder = parts.path.rstrip("/")
    plain = _PLAIN_PATH.fullmatch(folder) and not {".", ".."} & set(folder.split("/"))
    if parts.scheme != "hdfs" or parts.query or parts.fragment or "@" in parts.netloc or not plain:
        raise UsageError(f"{uri!r} is not a folder like hdfs://HOST[:PORT]/dir, with letters, digits and _.+=@- only")
    return Target(parts.netloc, folder)


def addresses_of(target: Target, namenodes: Sequence[str], conf: HadoopConf) -> tuple[str, ...]:
    """HTTP addresses of NameNodes, in the order in which they are tried: `namenodes`, else what Hadoop's files say.

    UsageError: one is not an http(s) URL.  ConfigRefused: neither option, URI nor files name a host.
    """
    for url in namenodes:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or ";" in url:
            raise UsageError(f"--namenode={url} is not like http://HOST:{DEFAULT_HTTP_PORT}")
    if namenodes:
        return tuple(url.rstrip("/") for url in namenodes)
    return conf.http_addresses(target.authority)
