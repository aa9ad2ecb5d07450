"""A small WebHDFS in a thread: NameNode and DataNode behind one loopback port, files in memory.

It models what bites: the redirect to a DataNode, refusals that come from the DataNode and are told apart by name
only, `false` for a rename onto a file, HttpFS that cannot replace, a connection that is cut, and a writer that dies
and leaves a short file that looks complete.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "/webhdfs/v1"
ALGORITHM = "MD5-of-0MD5-of-512CRC32C"
BLOCK_BYTES = 1 << 26
#: an answer that ends before its length
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonet"


class Refused(Exception):
    """A RemoteException of HDFS."""

    def __init__(self, name: str, message: str = "", status: int = 403) -> None:
        super().__init__(message or f"{name} happened")
        self.name, self.status = name, status


class Cut(Exception):
    """The server goes away without an answer."""


class Cluster:
    """State of the fake; a test changes it, or hangs a function on `before` (operation, path)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        #: of files; what is not here is as old as the epoch
        self.modified_ms: dict[str, int] = {}
        self.clock_ms = 1_000_000
        #: HttpFS knows no renameoptions
        self.can_replace = True
        self.file_ids: dict[str, int] = {}
        #: digits of a file's checksum; a server may have none
        self.checksum_of: Callable[[bytes], str] | None = None
        self.calls: list[tuple[str, str]] = []
        self.users: set[str] = set()
        self.queries: list[dict[str, str]] = []
        #: where the next redirects lead, instead of to us
        self.datanodes: list[str] = []
        self.before: Callable[[str, str], None] = lambda operation, path: None
        #: what of a body is kept; models a writer that died although it was told nothing
        self.kept_bytes: int | None = None
        #: of the last body
        self.body_bytes = 0
        self.url = ""
        self.lock = threading.RLock()

    def sent(self) -> int:
        """How many bodies a DataNode has taken."""
        return sum(operation == "CREATE-DATA" for operation, _ in self.calls)

    def keep(self, path: str, content: bytes) -> None:
        """A new file, now."""
        self.clock_ms += 1
        self.files[path], self.modified_ms[path], self.file_ids[path] = content, self.clock_ms, self.clock_ms

    def is_folder(self, path: str) -> bool:
        inside = path.rstrip("/") + "/"
        return path == "/" or path in self.folders or any(name.startswith(inside) for name in self.files)

    def status(self, path: str, suffix: str = "") -> dict[str, object]:
        """The object FileStatus; `suffix` is the name in a listing."""
        if path in self.files:
            kind: dict[str, object] = {"type": "FILE", "length": len(self.files[path]), "permission": "644"}
            kind |= {"replication": 3, "blockSize": 128 << 20}
        elif self.is_folder(path):
            kind = {"type": "DIRECTORY", "length": 0, "permission": "755", "replication": 0, "blockSize": 0}
        else:
            raise Refused("FileNotFoundException", f"File does not exist: {path}", 404)
        modified = self.modified_ms.get(path, 0)
        times = {"modificationTime": modified, "accessTime": modified, "fileId": self.file_ids.get(path, 0)}
        return {**kind, **times, "owner": "alice", "group": "staff", "pathSuffix": suffix}

    def rename(self, path: str, target: str, *, replaces: bool, refuses: bool = False) -> bytes:
        """The body of the answer. With options it is empty; without, it says false for every reason."""
        if refuses and target in self.files:
            raise Refused("FileAlreadyExistsException", f"rename destination {target} already exists")
        if (replaces or refuses) and path not in self.files:
            raise Refused("FileNotFoundException", f"rename source {path} is not found.", 404)
        done = path in self.files and (replaces or target not in self.files)
        if done:
            for kept in (self.files, self.modified_ms, self.file_ids):
                if path in kept:
                    kept[target] = kept.pop(path)  # type: ignore[assignment]
        return b"" if replaces or refuses else json.dumps({"boolean": done}).encode()

    def remove(self, path: str, recursive: bool = True) -> bool:
        inside = [name for name in self.files if name.startswith(f"{path}/")]
        if inside and not recursive:
            raise Refused("PathIsNotEmptyDirectoryException", f"`{path} is non empty': Directory is not empty")
        gone = [self.files.pop(name) for name in inside if path != "/"] + [self.files.pop(path, None)]
        was_folder = path in self.folders
        self.folders = {name for name in self.folders if name != path and not name.startswith(f"{path}/")}
        return was_folder or any(each is not None for each in gone)

    def listing(self, path: str) -> list[dict[str, object]]:
        if path in self.files:
            return [self.status(path)]
        inside = path.rstrip("/") + "/"
        names = {
            name[len(inside) :].partition("/")[0] for name in {*self.files, *self.folders} if name.startswith(inside)
        }
        return [self.status(inside + name, name) for name in sorted(names - {""})]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # one packet an answer: else each one waits 40 ms for a delayed acknowledgement
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    cluster: Cluster

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        cluster, parts = self.cluster, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, errors="surrogateescape").items()}
        at_datanode = parts.path.startswith("/datanode")
        path = unquote(parts.path.removeprefix("/datanode").removeprefix(PREFIX), errors="surrogateescape")
        operation = query["op"] + ("-DATA" if at_datanode else "")
        try:
            body = self._body() if operation == "CREATE-DATA" else b""
        except ValueError:  # the sender went away in the middle
            self.close_connection = True
            return
        try:
            with cluster.lock:
                cluster.body_bytes = len(body)
                cluster.calls.append((operation, path))
                cluster.queries.append(query)
                cluster.users.add(query.get("user.name") or f"token {query.get('delegation')}")
            cluster.before(operation, path)
            with cluster.lock:
                self._serve(operation, path, query, body)
        except Refused as error:
            exception = {"exception": error.name, "javaClassName": f"x.{error.name}", "message": str(error)}
            self._send(error.status, json.dumps({"RemoteException": exception}).encode())
        except Cut:
            self.close_connection = True

    def _serve(self, operation: str, path: str, query: dict[str, str], body: bytes) -> None:
        cluster = self.cluster
        match operation:
            case "GETFILESTATUS":
                self._json({"FileStatus": cluster.status(path)})
            case "LISTSTATUS":
                self._json({"FileStatuses": {"FileStatus": cluster.listing(path)}})
            case "MKDIRS":
                cluster.folders.add(path)
                self._json({"boolean": True})
            case "CREATE" | "OPEN" | "GETFILECHECKSUM":
                if operation != "CREATE":
                    cluster.status(path)
                where = cluster.datanodes.pop(0) if cluster.datanodes else cluster.url
                self._send(307, b"", {"Location": f"{where}/datanode{self.path}"})
            case "CREATE-DATA":
                cluster.keep(path, body[: cluster.kept_bytes])
                self._send(201, b"")
            case "OPEN-DATA":
                self._send(200, cluster.files[path][int(query.get("offset", "0")) :])
            case "GETFILECHECKSUM-DATA":
                if cluster.checksum_of is None:
                    raise Refused("UnsupportedOperationException")
                digits = cluster.checksum_of(cluster.files[path])
                self._json({"FileChecksum": {"algorithm": ALGORITHM, "bytes": digits, "length": 28}})
            case "RENAME":
                replaces = query.get("renameoptions") == "OVERWRITE" and cluster.can_replace
                refuses = query.get("renameoptions") == "NONE"
                self._send(200, cluster.rename(path, query["destination"], replaces=replaces, refuses=refuses))
            case "SETTIMES":
                cluster.modified_ms[path] = int(query["modificationtime"])
                self._send(200, b"")
            case "DELETE":
                self._json({"boolean": cluster.remove(path, query.get("recursive") != "false")})
            case "GETHOMEDIRECTORY":
                self._json({"Path": f"/user/{query.get('user.name')}"})
            case "GETCONTENTSUMMARY":
                length = sum(len(body) for name, body in cluster.files.items() if f"{name}/".startswith(f"{path}/"))
                self._json({"ContentSummary": {"length": length, "spaceConsumed": 3 * length}})
            case "CHECKACCESS":
                if query["fsaction"] != "r--":
                    raise Refused("AccessControlException")
                self._send(200, b"")

    def _body(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _json(self, answer: object) -> None:
        self._send(200, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    # the library keeps its connections open for as long as it lives
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """A cluster that listens at its `url` until the block ends."""
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with _Server(("127.0.0.1", 0), handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


def whole(connection: socket.socket) -> bytes:
    """To its end: hanging up on what was not read would reset the connection, and the answer with it."""
    request = b""
    while not request.endswith(b"0\r\n\r\n" if b"chunked" in request else b"\r\n\r\n"):
        request += connection.recv(65536)
    return request


@contextlib.contextmanager
def closing(times: int, answer: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request, answers with these bytes and hangs up."""
    asked: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            for _ in range(times):
                with listener.accept()[0] as connection:
                    asked.append(whole(connection))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join()
