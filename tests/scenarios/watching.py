"""A watch on the pods of one namespace, with the moment of each change by this process's own clock.

The API's creationTimestamp counts whole seconds; here created, bound and Running are known to milliseconds. Goes on
over restarts of the API server, from the version that it saw last.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from testbed import controlplane
from tests.scenarios import kubernetes
from tests.scenarios.kubernetes import Kubernetes, Object
from tests.scenarios.lab import LabConnection

RECONNECT_S = 0.2
JOIN_S = 20.0


@dataclass(slots=True)
class Life:
    """One pod from its creation on. Times are monotonic seconds; None: not yet."""

    name: str
    created_s: float
    nodes: list[str] = field(default_factory=list)  # each value that nodeName had, in order
    bound_s: float | None = None
    running_s: float | None = None
    deleting_s: float | None = None
    gone_s: float | None = None
    restarts: int = 0
    last: Object = field(default_factory=dict)

    def saw(self, pod: Object, now: float) -> None:
        self.last = pod
        node = kubernetes.node_name(pod)
        if node and node not in self.nodes:
            self.nodes.append(node)
        if node and self.bound_s is None:
            self.bound_s = now
        if self.running_s is None and kubernetes.phase(pod) == "Running":
            self.running_s = now
        if self.deleting_s is None and kubernetes.is_terminating(pod):
            self.deleting_s = now
        self.restarts = max(self.restarts, kubernetes.restarts(pod))


class PodWatch:
    """`lives` by pod uid; read it at any time."""

    def __init__(self, api: Kubernetes, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self.lives: dict[str, Life] = {}
        self._version = str(api.listing("Pod", namespace)["metadata"]["resourceVersion"])
        self._is_over = False
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over = True
        if (opened := self._socket) is not None:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._thread.join(JOIN_S)
        assert not self._thread.is_alive(), "the watch on pods does not end"

    def running(self) -> int:
        return sum(each.running_s is not None for each in list(self.lives.values()))

    def bound(self) -> int:
        return sum(each.bound_s is not None for each in list(self.lives.values()))

    def _run(self) -> None:
        while not self._is_over:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
                self._follow()
            time.sleep(RECONNECT_S)

    def _follow(self) -> None:
        server = urlsplit(controlplane.server(self._api.settings))
        connection = LabConnection(
            self._api.settings, str(server.hostname), int(server.port or 0), context=self._api.context
        )
        query = f"watch=1&allowWatchBookmarks=1&resourceVersion={self._version}"
        try:
            connection.connect()
            self._socket = connection.sock
            connection.sock.settimeout(None)
            connection.request("GET", f"{kubernetes.path_of('Pod', self._namespace)}?{query}")
            answer = connection.getresponse()
            while not self._is_over and (line := answer.readline()):
                self._take(json.loads(line), time.monotonic())
        finally:
            self._socket = None
            connection.close()

    def _take(self, event: Object, now: float) -> None:
        pod = event["object"]
        self._version = str(pod["metadata"]["resourceVersion"])
        if event["type"] == "BOOKMARK":
            return
        uid = kubernetes.uid(pod)
        life = self.lives.get(uid) or Life(kubernetes.name(pod), now)
        life.saw(pod, now)
        if event["type"] == "DELETED":
            life.gone_s = now
        self.lives[uid] = life


@contextlib.contextmanager
def watched(api: Kubernetes, namespace: str) -> Iterator[PodWatch]:
    watch = PodWatch(api, namespace)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
