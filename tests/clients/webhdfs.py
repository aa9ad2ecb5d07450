"""A small WebHDFS in a thread: NameNode and DataNode behind one loopback port, files in memory.

It models what bites: the redirect to a DataNode, refusals that come from the DataNode and are told apart by name
only, `false` for a rename onto a file, and a writer that dies and leaves a short file that looks complete.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PREFIX = "/webhdfs/v1"


class Refused(Exception):
    """A RemoteException of HDFS."""

    def __init__(self, name: str, message: str = "", status: int = 403) -> None:
        super().__init__(message or f"{name} happened")
        self.name, self.status = name, status


class Cluster:
    """State of the fake; a test changes it, or hangs a function on `before` (operation, path)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.users: set[str] = set()
        self.before: Callable[[str, str], None] = lambda operation, path: None
        #: what of a body is kept; models a writer that died although it was told nothing
        self.kept_bytes: int | None = None
        self.url = ""
        self.lock = threading.RLock()

    def sent(self) -> int:
        """How many bodies a DataNode has taken."""
        return sum(operation == "CREATE-DATA" for operation, _ in self.calls)

    def status(self, path: str) -> dict[str, object]:
        if path in self.files:
            return {"type": "FILE", "length": len(self.files[path]), "pathSuffix": path.rpartition("/")[2]}
        if path in self.folders:
            return {"type": "DIRECTORY", "length": 0, "pathSuffix": path.rpartition("/")[2]}
        raise Refused("FileNotFoundException", f"File does not exist: {path}", 404)

    def rename(self, path: str, target: str) -> bool:
        if target in self.files or path not in self.files:
            return False
        self.files[target] = self.files.pop(path)
        return True

    def listing(self, path: str) -> list[dict[str, object]]:
        return [self.status(name) for name in sorted(self.files) if name.rpartition("/")[0] == path]


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
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        at_datanode = parts.path.startswith("/datanode")
        path = parts.path.removeprefix("/datanode").removeprefix(PREFIX)
        operation = query["op"] + ("-DATA" if at_datanode else "")
        try:
            body = self._body() if operation == "CREATE-DATA" else b""
        except ValueError:  # the sender went away in the middle
            self.close_connection = True
            return
        try:
            with cluster.lock:
                cluster.calls.append((operation, path))
                cluster.users.add(query.get("user.name") or f"token {query.get('delegation')}")
            cluster.before(operation, path)
            with cluster.lock:
                self._serve(operation, path, query, body)
        except Refused as error:
            exception = {"exception": error.name, "javaClassName": f"x.{error.name}", "message": str(error)}
            self._send(error.status, json.dumps({"RemoteException": exception}).encode())

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
            case "CREATE" | "OPEN":
                if operation == "OPEN":
                    cluster.status(path)
                self._send(307, b"", {"Location": f"{cluster.url}/datanode{self.path}"})
            case "CREATE-DATA":
                cluster.files[path] = body[: cluster.kept_bytes]
                self._send(201, b"")
            case "OPEN-DATA":
                self._send(200, cluster.files[path])
            case "RENAME":
                self._json({"boolean": cluster.rename(path, query["destination"])})
            case "DELETE":
                self._json({"boolean": cluster.files.pop(path, None) is not None})

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
