"""HDFS by its HTTP interface (WebHDFS), through the `hdfs` library.

Knows credentials, timeouts, failover between NameNodes and DataNodes.  It refuses to know what the files are for, and
it never uses the library's own `upload`, which writes to the final name or deletes it first.  Redirects to DataNodes
are followed here, since the library takes a DataNode that hangs for a NameNode's fault.  Importing the library takes
0.3 s: it waits for the first storage.
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

from kmsched.clients.datanodes import MAX_ASKS, BadDataNodes
from kmsched.clients.hdfs_refusals import ADVICE, MESSAGE_CHARS, refusal
from kmsched.errors import ArtifactError, ConfigRefused, StorageUnreachable

#: connect, wait for an answer; for calls that carry no file
CALL_TIMEOUT_S = (5, 30)
#: urllib3 bounds each write to the socket by the first; a replica that hangs holds an upload for about 70 s
WRITE_TIMEOUT_S = (90, 120)
#: a DataNode waits 60 s for another one that hangs before it goes on without it
READ_TIMEOUT_S = (5, 75)
#: DataNodes that may fail while one file is read
MAX_DATANODES = 5
#: how long calls wait, where there are several NameNodes, until one of them is active
FAILOVER_WAIT_S = 30.0
FAILOVER_PAUSE_S = 1.0
READ_CHUNK_BYTES = 1 << 20
FILE_MODE = "644"
FOLDER_MODE = "755"

_T = TypeVar("_T")


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
        self._is_given_up = False
        self._monotonic, self._sleep = monotonic, sleep
        # plain HTTP errors are ours to tell, and its pools tell of nothing that matters
        for name in ("hdfs", "urllib3"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        self._session = requests.Session()
        # no proxy, no .netrc, no certificates from the environment: what is not on the command line has no say
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        self._session.headers["Accept-Encoding"] = "identity"
        urls, more = ";".join(addresses), {"timeout": CALL_TIMEOUT_S, "session": self._session}
        self._client = (
            hdfs.TokenClient(urls, token, **more) if token else hdfs.InsecureClient(urls, user or _myself(), **more)
        )
        self._bad = BadDataNodes()

    def look(self, path: str) -> Entry | None:
        """What is at `path`; None: nothing."""

        def ask() -> Entry | None:
            status = self._unless_missing(lambda: self._client.status(path))
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
            answer = self._unless_missing(lambda: self._client._list_status(folder or "/").json())
            return [] if answer is None else [_entry(status) for status in answer["FileStatuses"]["FileStatus"]]

        return self._ask(f"list {folder or '/'}", ask)

    def make_folder(self, folder: str) -> None:
        self._ask(f"make the folder {folder}", lambda: self._client.makedirs(folder, permission=FOLDER_MODE))

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the file anew. After an error any part of it may be there, and look complete; the DataNode that was at
        fault is passed by from then on."""
        try:
            self._send(path, chunks)
        except StorageUnreachable as error:
            if not isinstance(_innermost(error), TimeoutError):
                # a DataNode that refuses in mid-body closes the connection, and its reason is lost: it says it again
                # to a body of one byte, which is not lost
                self._send(path, (b"?",))
            raise

    def _send(self, path: str, chunks: Iterable[bytes]) -> None:
        def ask() -> Any:
            return self._named("CREATE", path, overwrite=True, permission=FILE_MODE).headers["location"]

        location = self._ask(f"write {path}", ask)
        with self._told(f"write {path}"):
            headers = {"Content-Type": "application/octet-stream"}
            self._at_datanode("PUT", location, WRITE_TIMEOUT_S, data=iter(chunks), headers=headers)

    def read(self, path: str) -> Iterator[bytes]:
        """As much as there was when this began; goes on at another DataNode where one fails. ArtifactError: somebody
        has written to it meanwhile, or it is not there."""
        entry = self.look(path)
        if entry is None:
            raise ArtifactError(f"HDFS does not read {path}: there is no such file")
        done, failed = 0, 0
        while done < entry.size_bytes:
            with self._told(f"read {path}"):
                try:
                    for piece in self._pieces(path, done):
                        done += len(piece)
                        yield piece
                except OSError:
                    failed += 1
                    if failed > MAX_DATANODES:
                        raise
            if done != entry.size_bytes and self.look(path) != entry:
                raise ArtifactError(f"{path} was written to while it was read; try again")

    def _pieces(self, path: str, offset: int) -> Iterator[bytes]:
        """From the offset to the end. OSError: a DataNode fails."""
        answer = self._ask(f"read {path}", lambda: self._named("OPEN", path, offset=offset))
        location, done = answer.headers.get("location", ""), False
        try:
            if location:
                answer = self._at_datanode("GET", location, READ_TIMEOUT_S, stream=True)
            with contextlib.closing(answer):
                for piece in answer.iter_content(READ_CHUNK_BYTES):
                    done = True
                    yield piece
            if not done:
                raise ConnectionError("the answer is empty")
        except OSError as error:
            self._bad.add(location, _words(error))
            raise

    def checksum(self, path: str) -> Checksum:
        """What HDFS has for the file's checksum. ArtifactError also when this server has none."""

        def ask() -> Checksum:
            answer = self._named("GETFILECHECKSUM", path)
            if location := answer.headers.get("location"):
                answer = self._at_datanode("GET", location, CALL_TIMEOUT_S)
            found, status = answer.json()["FileChecksum"], self._client.status(path)
            return Checksum(str(found["algorithm"]), str(found["bytes"]), int(status["blockSize"]))

        return self._ask(f"tell the checksum of {path}", ask)

    def rename(self, source: str, target: str) -> bool:
        """False: the target exists, or the source does not."""
        # the library's `rename` turns the answer false into an error without a name
        answer = self._ask(f"rename {source}", lambda: self._client._rename(source, destination=target).json())
        return answer["boolean"] is True

    def replace(self, source: str, target: str) -> bool:
        """Rename onto a file that may be there, in one step. False: this server cannot (HttpFS)."""

        def ask() -> bool:
            answer = self._client._rename(source, destination=target, renameoptions="OVERWRITE")
            # WebHDFS has nothing to say; HttpFS takes it for a plain rename, which is true where nothing is there
            return not answer.content or answer.json()["boolean"] is True

        return self._ask(f"rename {source}", ask)

    def touch(self, path: str, modified_ms: int) -> None:
        self._ask(f"touch {path}", lambda: self._client.set_times(path, modification_time=modified_ms))

    def remove(self, path: str) -> None:
        """A file that is not there is no error, nor is a folder that is not empty: it stays."""

        def ask() -> None:
            try:
                self._client.delete(path)
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

    def _named(self, operation: str, path: str, **query: Any) -> Any:
        """The NameNode's answer that names a DataNode, if it can be one that has not failed; HttpFS's own answer."""
        # HttpFS may answer with the file
        more = {"stream": True} if operation == "OPEN" else {}
        request = self._library.client._Request(_METHODS[operation], allow_redirects=False, **more)
        call = request.to_method(operation)
        for _ in range(MAX_ASKS):
            try:
                answer = call(self._client, path, **query, **self._bad.excluded())
            except self._library.HdfsError:
                if not self._bad:
                    raise
                self._bad.forget()
                answer = call(self._client, path, **query)
            if not self._bad.has(answer.headers.get("location", "")):
                break
        return answer

    def _at_datanode(self, method: str, location: str, timeout_s: tuple[int, int], **more: Any) -> Any:
        """Its answer, which is no refusal. One that fails is noted."""
        try:
            answer = self._session.request(method, location, timeout=timeout_s, allow_redirects=False, **more)
        except OSError as error:
            self._bad.add(location, _words(error))
            raise
        if not answer.ok:
            raise self._library.client._to_error(answer)
        return answer

    def _ask(self, doing: str, call: Callable[[], _T]) -> _T:
        """Once nobody was active for all of the wait, the next calls do not wait: the steps that clear up after an
        error are several."""
        deadline = self._monotonic() + (0.0 if self._is_given_up else self._failover_wait_s)
        while True:
            try:
                with self._told(doing):
                    found = call()
                self._is_given_up = False
                return found
            except _NotHdfs:
                raise
            except StorageUnreachable:
                if self._monotonic() + FAILOVER_PAUSE_S > deadline:
                    self._is_given_up = True
                    raise
            self._sleep(FAILOVER_PAUSE_S)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._library.HdfsError as error:
            raise refusal(error.exception, str(error.message), f"HDFS does not {doing}") from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _NotHdfs(
                f"cannot {doing}: {self._where} does not answer as WebHDFS does; check --namenode"
            ) from error
        except OSError as error:
            raise StorageUnreachable(
                f"cannot {doing}: {self._where}: {_words(error)}; {ADVICE[StorageUnreachable]}"
            ) from error


#: calls that a NameNode sends on to a DataNode
_METHODS = {"CREATE": "PUT", "OPEN": "GET", "GETFILECHECKSUM": "GET"}


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
