"""HDFS by its HTTP interface with the standard library alone, for programs that start often on hosts without Java.

Knows the calls, the redirect to a DataNode, failover between NameNodes and DataNodes, and every timeout.  Paths are
taken as they are, whatever characters they have.  It does not know URIs, configuration files, or what the files are
for; publishing is in `kmsched.clients.hdfs`.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from kmsched.clients.datanodes import MAX_ASKS, BadDataNodes
from kmsched.clients.webhdfs_answers import (
    HdfsRefusal,
    NotThere,
    Status,
    decoded,
    get,
    listed,
    raise_refusal,
    status_of,
)
from kmsched.errors import ArtifactError, StorageUnreachable

PREFIX = "/webhdfs/v1"
CONNECT_TIMEOUT_S = 5
CALL_TIMEOUT_S = 30
#: a replica that hangs holds a write for about 70 s
WRITE_TIMEOUT_S = 120
#: a DataNode waits 60 s for another one that hangs before it goes on without it
READ_TIMEOUT_S = 75
#: between rounds over all NameNodes: a failover takes some seconds
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
MAX_DATANODES = 5
CHUNK_BYTES = 1 << 20
MAX_ANSWER_BYTES = 64 << 20

#: names of files are bytes, and the command line may have any
_AS_BYTES = "surrogateescape"
#: this NameNode cannot say; another one, or the same one later, can
_ASK_ANOTHER = frozenset({"StandbyException", "RetriableException", "ObserverRetryOnActiveException"})


class WebHdfs:
    """One HDFS, as one user. Raises HdfsRefusal, and StorageUnreachable when nobody has answered for long."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        user: str | None = None,
        token: str | None = None,
        pauses_s: Sequence[float] = PAUSES_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`addresses`: `http(s)://host:port` of the NameNodes. `token`: a delegation token, instead of `user`."""
        self._addresses = list(addresses)
        self._identity = {"delegation": token} if token else {"user.name": user} if user else {}
        self._pauses_s, self._sleep = tuple(pauses_s), sleep

    def status(self, path: str) -> Status:
        return status_of(get(self._ask("GET", "GETFILESTATUS", path), "FileStatus"))

    def listing(self, folder: str) -> list[Status]:
        """What is in the folder, by name; of a file, itself."""
        return listed(get(self._ask("GET", "LISTSTATUS", folder), "FileStatuses", "FileStatus"))

    def summary(self, path: str) -> dict[str, Any]:
        """Hadoop's ContentSummary: `length`, `spaceConsumed`, `fileCount`, `directoryCount`."""
        found: dict[str, Any] = get(self._ask("GET", "GETCONTENTSUMMARY", path), "ContentSummary")
        return found

    def may(self, path: str, action: str) -> bool:
        """Whether this user may do it: `r--`, `-w-`, `--x` or more of them."""
        try:
            self._ask("GET", "CHECKACCESS", path, fsaction=action)
        except HdfsRefusal as error:
            if error.name != "AccessControlException":
                raise
            return False
        return True

    def home(self) -> str:
        return str(get(self._ask("GET", "GETHOMEDIRECTORY", "/"), "Path"))

    def make_folder(self, path: str, permission: int) -> bool:
        """With its parents."""
        return get(self._ask("PUT", "MKDIRS", path, permission=f"{permission:o}"), "boolean") is True

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        """False: there was nothing."""
        answer = self._ask("DELETE", "DELETE", path, repeatable=False, recursive=str(recursive).lower())
        return get(answer, "boolean") is True

    def rename(self, source: str, target: str, *, overwrite: bool) -> None:
        """In one step, also over another file; HdfsRefusal says why not."""
        options = {"destination": target, "renameoptions": "OVERWRITE" if overwrite else "NONE"}
        self._ask("PUT", "RENAME", source, repeatable=False, **options)

    def read(self, path: str, status: Status) -> Iterator[bytes]:
        """The file that `status` has told of, to its last byte: goes on at another DataNode when one goes away.

        ArtifactError: somebody has written to it in between.
        """
        done, bad = 0, BadDataNodes()
        while True:
            asked: list[str] = []
            try:
                for piece in self._stream(path, done, bad, asked):
                    done += len(piece)
                    yield piece
                if done == status.length:
                    return
                bad.add("".join(asked), f"the answer ended after {done} of {status.length} bytes")
            except (OSError, http.client.HTTPException) as error:
                bad.add("".join(asked), reason_of(error))
            if not status.is_same_file(self.status(path)):
                raise ArtifactError(f"{path} was written to while it was read; try again")
            if bad.count > MAX_DATANODES:
                raise StorageUnreachable(f"{path} cannot be read: {bad.last}; look at the DataNodes, then try again")
            self._sleep(self._pauses_s[0] if self._pauses_s else 0)

    def write(self, path: str, chunks: Iterable[bytes], *, overwrite: bool, **options: str) -> None:
        """After an error any part of it may be there, and look complete. `options`: permission, replication."""
        bad = BadDataNodes()
        while True:
            asked = {"overwrite": str(overwrite).lower(), **options}
            with self._named("PUT", "CREATE", path, bad, asked) as answer:
                location = _location(answer, path)
            with contextlib.ExitStack() as stack:
                try:
                    connection = stack.enter_context(_connected(location, WRITE_TIMEOUT_S))
                except OSError as error:
                    bad.add(location, f"{urlsplit(location).netloc}: {reason_of(error)}")
                    if bad.count > MAX_DATANODES:
                        raise StorageUnreachable(f"no DataNode takes {path}: {bad.last}") from error
                    continue
                return _send(connection, location, chunks, path)

    def _stream(self, path: str, offset: int, bad: BadDataNodes, at: list[str]) -> Iterator[bytes]:
        """`at` gets the DataNode's URL."""
        with contextlib.ExitStack() as stack:
            answer = stack.enter_context(self._named("GET", "OPEN", path, bad, {"offset": str(offset)}))
            if answer.status == http.HTTPStatus.TEMPORARY_REDIRECT:
                location = _location(answer, path)
                at.append(location)
                connection = stack.enter_context(_connected(location, READ_TIMEOUT_S))
                connection.request("GET", _target(location))
                answer = connection.getresponse()
                raise_refusal(answer)
            while piece := answer.read1(CHUNK_BYTES):  # what is there: who reads looks at a clock
                yield piece

    @contextlib.contextmanager
    def _named(
        self, method: str, operation: str, path: str, bad: BadDataNodes, query: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The NameNode's answer that names a DataNode, if it can be one that has not failed; HttpFS's own answer."""
        with contextlib.ExitStack() as stack:
            for _ in range(MAX_ASKS):
                stack.close()
                try:
                    asked = {**query, **bad.excluded()}
                    answer = stack.enter_context(self._open(method, operation, path, repeatable=True, **asked))
                except HdfsRefusal as error:
                    if not bad or isinstance(error, NotThere):
                        raise
                    bad.forget()  # no other is left: perhaps one of those is back
                    answer = stack.enter_context(self._open(method, operation, path, repeatable=True, **query))
                if not bad.has(answer.getheader("Location") or ""):
                    break
            yield answer

    def _ask(self, method: str, operation: str, path: str, *, repeatable: bool = True, **query: str) -> Any:
        with self._open(method, operation, path, repeatable=repeatable, **query) as answer:
            body = answer.read(MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise ArtifactError(f"{operation} {path}: the answer has more than {MAX_ANSWER_BYTES >> 20} MiB")
        return decoded(body, self._addresses[0])

    @contextlib.contextmanager
    def _open(
        self, method: str, operation: str, path: str, *, repeatable: bool, **query: str
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer of the first NameNode that has one; it is asked first from then on.

        A call that must not happen twice is given up once it was sent and nobody has answered.
        """
        asked = {"op": operation, **self._identity, **query}
        target = f"{PREFIX}{quote(path, errors=_AS_BYTES)}?{urlencode(asked, errors=_AS_BYTES)}"
        last = ""
        for pause_s in (*self._pauses_s, None):
            for address in tuple(self._addresses):
                with contextlib.ExitStack() as stack:
                    is_sent = False
                    try:
                        connection = stack.enter_context(_connected(address, CALL_TIMEOUT_S))
                        is_sent = True
                        connection.request(method, target, headers={"Content-Length": "0"} if method == "PUT" else {})
                        answer = connection.getresponse()
                        raise_refusal(answer)
                    except (OSError, http.client.HTTPException) as error:
                        last = f"{address}: {reason_of(error)}"
                        if is_sent and not repeatable:
                            raise StorageUnreachable(f"{last}; whether it was done is not known") from error
                        continue
                    except HdfsRefusal as error:
                        if error.name not in _ASK_ANOTHER:
                            raise
                        last = f"{address}: {error}"
                        continue
                    self._addresses.remove(address)
                    self._addresses.insert(0, address)
                    yield answer
                    return
            if pause_s is not None:
                self._sleep(pause_s)
        raise StorageUnreachable(last)


def reason_of(error: BaseException) -> str:
    """The system's words, or the name of the exception."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}".rstrip(": ")


@contextlib.contextmanager
def _connected(url: str, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
    """StorageUnreachable: it is no address that can be asked; a NameNode may name anything for a DataNode's."""
    with contextlib.ExitStack() as stack:
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("it has no scheme or host")
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.hostname, parts.port, timeout=CONNECT_TIMEOUT_S)
            stack.callback(connection.close)
            connection.connect()
            connection.sock.settimeout(timeout_s)
            _target(url).encode("ascii")
        except OSError:
            raise  # errors of certificates are ValueErrors, too
        except ValueError as error:
            raise StorageUnreachable(f"{url.partition('?')[0]!r} is not an HTTP address: {error}") from error
        yield connection


def _send(connection: http.client.HTTPConnection, location: str, chunks: Iterable[bytes], path: str) -> None:
    broken: OSError | None = None
    try:
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
        connection.request("PUT", _target(location), body=chunks, headers=headers, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError) as error:
        broken = error  # a DataNode that refuses in mid-body may have said why
    try:
        raise_refusal(connection.getresponse())
        if broken is not None:
            raise broken
    except (OSError, http.client.HTTPException) as error:
        reason = reason_of(broken or error)
        raise StorageUnreachable(f"{path} is not written: {urlsplit(location).netloc}: {reason}") from error


def _target(location: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}"


def _location(answer: http.client.HTTPResponse, path: str) -> str:
    location = answer.getheader("Location")
    if answer.status != http.HTTPStatus.TEMPORARY_REDIRECT or not location:
        raise StorageUnreachable(f"{path}: the NameNode answers {answer.status} and names no DataNode")
    return location
