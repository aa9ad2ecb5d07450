"""HDFS by its HTTP interface (WebHDFS), through the `hdfs` library.

Knows credentials, timeouts, failover and the names of HDFS's exceptions; nearly every refusal is a 403, so the name
decides and not the status.  It refuses to know what the files are for, and it never uses the library's own `upload`,
which writes to the final name or deletes it first.  Importing the library takes 0.3 s: it waits for the first storage.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kmsched.clients.hadoop_conf import HadoopConf
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
DATA_TIMEOUT_S = (90, 120)
#: how long calls wait, where there are several NameNodes, until one of them is active
FAILOVER_WAIT_S = 30.0
FAILOVER_PAUSE_S = 1.0
READ_CHUNK_BYTES = 1 << 20
MESSAGE_CHARS = 300
FILE_MODE = "644"
FOLDER_MODE = "755"

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_.+=@-]+)*")
_T = TypeVar("_T")

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder. `modified_ms`: since 1970 by the NameNode's clock; `mode`: octal digits; `file_id`: no other
    file has or had it (0: the server does not tell)."""

    name: str
    is_folder: bool
    size_bytes: int
    modified_ms: int
    owner: str
    group: str
    mode: str
    replicas: int
    file_id: int


@dataclass(frozen=True, slots=True)
class Checksum:
    """`digits`: hexadecimal, as HDFS says them."""

    algorithm: str
    digits: str
    block_bytes: int


class HdfsStorage:
    """Files of one HDFS, as one user. Raises ArtifactError and its kinds.

    A call is tried once at each NameNode; where there are several, it waits for one to become active.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        user: str | None = None,
        token: str | None = None,
        ca_file: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`token`: a delegation token; without one, `user` is believed (simple authentication). `ca_file`: authorities
        for https, instead of the public ones."""
        import hdfs
        import requests

        addresses = tuple(dict.fromkeys(addresses))  # one that comes twice would turn the library in a circle
        self._library = hdfs
        self._where = ", ".join(addresses)
        self._failover_wait_s = FAILOVER_WAIT_S if len(addresses) > 1 else 0.0
        self._monotonic, self._sleep = monotonic, sleep
        # plain HTTP errors are ours to tell, and its pools tell of nothing that matters
        for name in ("hdfs", "urllib3"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        session = requests.Session()
        # no proxy, no .netrc, no certificates from the environment: what is not on the command line has no say
        session.trust_env = False
        session.verify = str(ca_file) if ca_file else True
        session.headers["Accept-Encoding"] = "identity"
        urls = ";".join(addresses)
        self._calls, self._data = (
            hdfs.TokenClient(urls, token, timeout=timeout, session=session)
            if token
            else hdfs.InsecureClient(urls, user=user or _myself(), timeout=timeout, session=session)
            for timeout in (CALL_TIMEOUT_S, DATA_TIMEOUT_S)
        )

    def look(self, path: str) -> Entry | None:
        """What is at `path`; None: nothing."""

        def ask() -> Entry | None:
            status = self._unless_missing(lambda: self._calls.status(path))
            return None if status is None else _entry(status)

        return self._ask(f"look at {path}", ask)

    def length(self, path: str) -> int | None:
        """Bytes of the file; None: there is nothing. ArtifactError: it is a folder."""
        entry = self.look(path)
        if entry is not None and entry.is_folder:
            raise ArtifactError(f"{path} is a directory, not a file; remove it or use another folder")
        return None if entry is None else entry.size_bytes

    def entries(self, folder: str) -> list[Entry]:
        """What is in the folder, nothing if it is not there; of a file, the file itself under the name ""."""

        def ask() -> list[Entry]:
            answer = self._unless_missing(lambda: self._calls._list_status(folder or "/").json())
            return [] if answer is None else [_entry(status) for status in answer["FileStatuses"]["FileStatus"]]

        return self._ask(f"list {folder or '/'}", ask)

    def make_folder(self, folder: str) -> None:
        self._ask(f"make the folder {folder}", lambda: self._calls.makedirs(folder, permission=FOLDER_MODE))

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the file anew. After an error any part of it may be there, and look complete."""

        def send(pieces: Iterable[bytes]) -> None:
            self._data.write(path, data=iter(pieces), overwrite=True, permission=FILE_MODE)

        with self._told(f"write {path}"):
            try:
                send(chunks)
            except OSError as error:
                if not isinstance(_innermost(error), TimeoutError):
                    # a DataNode that refuses in mid-body closes the connection, and its reason is lost: it says it
                    # again to a body of one byte, which is not lost
                    send((b"?",))
                raise

    def read(self, path: str) -> Iterator[bytes]:
        answer = self._ask(f"read {path}", lambda: self._data._open(path))
        with self._told(f"read {path}"), contextlib.closing(answer):
            yield from answer.iter_content(READ_CHUNK_BYTES)

    def checksum(self, path: str) -> Checksum:
        """What HDFS has for the file's checksum. ArtifactError also when this server has none."""

        def ask() -> Checksum:
            found, status = self._calls.checksum(path), self._calls.status(path)
            return Checksum(str(found["algorithm"]), str(found["bytes"]), int(status["blockSize"]))

        return self._ask(f"tell the checksum of {path}", ask)

    def rename(self, source: str, target: str) -> bool:
        """False: the target exists, or the source does not."""
        # the library's `rename` turns the answer false into an error without a name
        answer = self._ask(f"rename {source}", lambda: self._calls._rename(source, destination=target).json())
        return answer["boolean"] is True

    def replace(self, source: str, target: str) -> bool:
        """Rename onto a file that may be there, in one step. False: this server cannot (HttpFS)."""

        def ask() -> bool:
            answer = self._calls._rename(source, destination=target, renameoptions="OVERWRITE")
            # WebHDFS has nothing to say; HttpFS takes it for a plain rename, which is true where nothing is there
            return not answer.content or answer.json()["boolean"] is True

        return self._ask(f"rename {source}", ask)

    def touch(self, path: str, modified_ms: int) -> None:
        self._ask(f"touch {path}", lambda: self._calls.set_times(path, modification_time=modified_ms))

    def remove(self, path: str) -> None:
        """A file that is not there is no error, nor is a folder that is not empty: it stays."""

        def ask() -> None:
            try:
                self._calls.delete(path)
            except self._library.HdfsError as error:
                if error.exception != "PathIsNotEmptyDirectoryException":
                    raise

        self._ask(f"remove {path}", ask)

    def _unless_missing(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._library.HdfsError as error:
            if error.exception == "FileNotFoundException":
                return None
            raise

    def _ask(self, doing: str, call: Callable[[], _T]) -> _T:
        deadline = self._monotonic() + self._failover_wait_s
        while True:
            try:
                with self._told(doing):
                    return call()
            except _NotHdfs:
                raise
            except StorageUnreachable:
                if self._monotonic() + FAILOVER_PAUSE_S > deadline:
                    raise
            self._sleep(FAILOVER_PAUSE_S)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._library.HdfsError as error:
            raise refusal(error.exception, str(error.message), f"HDFS does not {doing}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise _NotHdfs(
                f"cannot {doing}: {self._where} does not answer as WebHDFS does; check --namenode"
            ) from error
        except OSError as error:
            raise StorageUnreachable(
                f"cannot {doing}: {self._where}: {_words(error)}; {ADVICE[StorageUnreachable]}"
            ) from error


class _NotHdfs(StorageUnreachable):
    """Something else answers there, and will go on to."""


def _entry(status: dict[str, Any]) -> Entry:
    return Entry(
        name=str(status["pathSuffix"]),
        is_folder=status["type"] == "DIRECTORY",
        size_bytes=int(status["length"]),
        modified_ms=int(status["modificationTime"]),
        owner=str(status["owner"]),
        group=str(status["group"]),
        mode=str(status["permission"]),
        replicas=int(status["replication"]),
        file_id=int(status.get("fileId", 0)),
    )


def refusal(name: str | None, message: str, what: str) -> ArtifactError:
    """Our error for an exception of HDFS; messages of DataNodes carry Java stacks, so only the first line is kept."""
    kind = next((kind for text, kind in TEXTS if text in message), REFUSALS.get(name or "", ArtifactError))
    if name is None and "Authentication" in message:
        kind = NoPermission
    first = (message.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")[:MESSAGE_CHARS]
    advice = f"; {ADVICE[kind]}" if kind in ADVICE else ""
    return kind(f"{what}: {name or 'error'}: {first}{advice}")


def _innermost(error: BaseException) -> BaseException:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _words(error: BaseException) -> str:
    """The socket's own words: the outer errors' texts have whole URLs in them, with the token."""
    inner = _innermost(error)
    text = re.sub(r"(delegation=)[^&\s'\"]+", r"\1...", str(inner))
    return f"{type(inner).__name__}: {text}"[:MESSAGE_CHARS]


def _myself() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigRefused("this user has no name; say who to be in HDFS with --user") from error
