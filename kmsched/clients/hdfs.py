"""HDFS by its HTTP interface (WebHDFS), through the `hdfs` library.

Knows NameNode addresses, credentials, timeouts and the names of HDFS's exceptions; nearly every refusal is a 403, so
the name decides and not the status.  It refuses to know what the files are for, and it never uses the library's own
`upload`, which writes to the final name or deletes it first.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from kmsched.errors import (
    ArtifactError,
    ConfigRefused,
    NoPermission,
    NoSpace,
    SafeMode,
    StorageUnreachable,
    UsageError,
)

DEFAULT_HTTP_PORT = 9870
#: connect, wait for an answer; for calls that carry no file
CALL_TIMEOUT_S = (5, 30)
#: urllib3 bounds each write to the socket by the first; a replica that hangs holds an upload for about 70 s
DATA_TIMEOUT_S = (30, 120)
READ_CHUNK_BYTES = 1 << 20
MESSAGE_CHARS = 300
FILE_MODE = "644"
FOLDER_MODE = "755"

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_.+=@-]+)*")

#: name of HDFS's exception -> ours; what is not here is an ArtifactError
REFUSALS: dict[str, type[ArtifactError]] = {
    "AccessControlException": NoPermission,
    "AuthenticationException": NoPermission,
    "AuthorizationException": NoPermission,
    "InvalidToken": NoPermission,
    "SecurityException": NoPermission,
    "DSQuotaExceededException": NoSpace,
    "NSQuotaExceededException": NoSpace,
    "QuotaExceededException": NoSpace,
    "SafeModeException": SafeMode,
    # from a DataNode whose NameNode went away
    "ConnectException": StorageUnreachable,
    "EOFException": StorageUnreachable,
    "NoRouteToHostException": StorageUnreachable,
    "SocketTimeoutException": StorageUnreachable,
    "RetriableException": StorageUnreachable,
    "StandbyException": StorageUnreachable,
}
#: the name is only IOException: the text decides
TEXTS: tuple[tuple[str, type[ArtifactError]], ...] = (
    ("could only be written to 0 of", NoSpace),
    ("could only be replicated to 0 nodes", NoSpace),
    ("Failed to find datanode", StorageUnreachable),
)
ADVICE: dict[type[ArtifactError], str] = {
    NoPermission: "use another user (--user, --token-file) or folder, or have the folder's rights changed",
    NoSpace: "free space or raise the quota, then upload again",
    SafeMode: "upload again when the NameNode has left safe mode (hdfs dfsadmin -safemode get)",
    StorageUnreachable: "check --namenode and the daemons of HDFS, then upload again",
}


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


def addresses_of(target: Target, namenodes: Sequence[str]) -> tuple[str, ...]:
    """HTTP addresses of NameNodes, in the order in which they are tried.

    UsageError: one is not an http(s) URL, or neither option nor URI names a host.
    """
    for url in namenodes:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or ";" in url:
            raise UsageError(f"--namenode={url} is not like http://HOST:{DEFAULT_HTTP_PORT}")
    if namenodes:
        return tuple(url.rstrip("/") for url in namenodes)
    host = re.sub(r":\d*$", "", target.authority)
    if not host:
        raise UsageError("hdfs:///dir names no host; say --namenode=http://HOST:9870")
    return (f"http://{host}:{DEFAULT_HTTP_PORT}",)


class HdfsStorage:
    """Files of one HDFS, as one user. Raises ArtifactError and its kinds; calls are tried once at each NameNode."""

    def __init__(self, addresses: Sequence[str], *, user: str | None = None, token: str | None = None) -> None:
        """`token`: a delegation token; without one, `user` is believed (simple authentication).

        ConfigRefused: the `hdfs` library is not installed.
        """
        self._library = _library()
        self._where = ", ".join(addresses)
        # plain HTTP errors are ours to tell
        logging.getLogger("hdfs").addHandler(logging.NullHandler())
        urls = ";".join(addresses)
        self._calls, self._data = (
            self._library.TokenClient(urls, token, timeout=timeout)
            if token
            else self._library.InsecureClient(urls, user=user, timeout=timeout)
            for timeout in (CALL_TIMEOUT_S, DATA_TIMEOUT_S)
        )

    def length(self, path: str) -> int | None:
        with self._told(f"look at {path}"):
            try:
                status = self._calls.status(path)
            except self._library.HdfsError as error:
                if error.exception == "FileNotFoundException":
                    return None
                raise
            if status["type"] != "FILE":
                raise ArtifactError(
                    f"{path} is a {status['type'].lower()}, not a file; remove it or use another folder"
                )
            return int(status["length"])

    def names(self, folder: str) -> list[str]:
        with self._told(f"list {folder}"):
            return [str(name) for name in self._calls.list(folder)]

    def make_folder(self, folder: str) -> None:
        with self._told(f"make the folder {folder}"):
            self._calls.makedirs(folder, permission=FOLDER_MODE)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        with self._told(f"write {path}"):
            self._data.write(path, data=iter(chunks), overwrite=True, permission=FILE_MODE)

    def read(self, path: str) -> Iterator[bytes]:
        with self._told(f"read {path}"), self._data.read(path, chunk_size=READ_CHUNK_BYTES) as chunks:
            yield from chunks

    def rename(self, source: str, target: str) -> bool:
        with self._told(f"rename {source}"):
            # the library's `rename` turns the answer false into an error without a name
            answer: Any = self._calls._rename(source, destination=target).json()
            return answer["boolean"] is True

    def remove(self, path: str) -> None:
        with self._told(f"remove {path}"):
            self._calls.delete(path)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._library.HdfsError as error:
            raise refusal(error.exception, str(error.message), f"HDFS does not {doing}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise StorageUnreachable(
                f"cannot {doing}: {self._where} does not answer as WebHDFS does; check --namenode"
            ) from error
        except OSError as error:
            raise StorageUnreachable(
                f"cannot {doing}: {self._where}: {_innermost(error)}; {ADVICE[StorageUnreachable]}"
            ) from error


def refusal(name: str | None, message: str, what: str) -> ArtifactError:
    """Our error for an exception of HDFS; messages of DataNodes carry Java stacks, so only the first line is kept."""
    kind = next((kind for text, kind in TEXTS if text in message), REFUSALS.get(name or "", ArtifactError))
    if name is None and "Authentication" in message:
        kind = NoPermission
    first = (message.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")[:MESSAGE_CHARS]
    advice = f"; {ADVICE[kind]}" if kind in ADVICE else ""
    return kind(f"{what}: {name or 'error'}: {first}{advice}")


def _innermost(error: BaseException) -> str:
    """The socket's own words: the outer errors' texts have whole URLs in them, with the token."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    text = re.sub(r"(delegation=)[^&\s'\"]+", r"\1...", str(error))
    return f"{type(error).__name__}: {text}"[:MESSAGE_CHARS]


def _library() -> ModuleType:
    try:
        import hdfs
    except ImportError as error:
        raise ConfigRefused("uploads to HDFS need the hdfs library: pip install 'kmsched[hdfs]'") from error
    assert isinstance(hdfs, ModuleType)
    return hdfs
