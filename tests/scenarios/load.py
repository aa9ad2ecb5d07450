"""Work that goes on while schedulers come and go: pods that only run, and one more now and then that lives for a while.

Judges what became of them from the API's watch and from containerd. Knows nothing of schedulers.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.kubernetes import RefusedError
from tests.scenarios.waiting import TooLateError, until
from tests.scenarios.watching import Life, PodWatch, watched

#: as long as a pod of the stream runs
LIFE_S = 15.0
JOIN_S = 20.0
ALL_RUN_S = 60.0
TASKS_END_S = 30.0
STEADY, STREAM = "steady", "stream"


@dataclass(slots=True)
class Stream:
    """Creates a pod each `every_s` seconds from a thread of its own, and deletes those that have run for LIFE_S."""

    cluster: Cluster
    namespace: str
    every_s: float
    watch: PodWatch
    made: dict[str, float] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join(JOIN_S)
        assert not self._thread.is_alive(), "the stream of pods does not end"

    def _run(self) -> None:
        number, due = 0, time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due, number = due + self.every_s, number + 1
            name = f"{STREAM}-{number}"
            try:
                self.cluster.api.create(workloads.pod(name), self.namespace)
                self.made[name] = time.monotonic()
                for old in self._old():
                    # noted first: the watch may tell of it before the call has returned
                    self.deleted.add(old)
                    self.cluster.api.delete("Pod", self.namespace, old)
            except (RefusedError, OSError, http.client.HTTPException) as error:
                self.failed.append(f"{name}: {error}")

    def _old(self) -> list[str]:
        lives, now = list(self.watch.lives.values()), time.monotonic()
        ran = [each.name for each in lives if each.running_s is not None and now - each.running_s > LIFE_S]
        return [name for name in ran if name in self.made and name not in self.deleted]


@dataclass(slots=True)
class Load:
    """`steady`: container id -> pod uid of those that only run, as they were when the load began."""

    cluster: Cluster
    namespace: str
    watch: PodWatch
    stream: Stream
    steady: dict[str, str]
    _told: set[str] = field(default_factory=set)

    def wait_placed(self) -> None:
        """Until every pod that was made before now runs, or has run. TooLateError names those that do not."""
        wanted = set(self.stream.made)

        def all_ran() -> bool:
            ran = {life.name for life in list(self.watch.lives.values()) if life.running_s is not None}
            if missing := sorted(wanted - ran):
                raise ValueError(f"never Running: {missing[:5]} and {max(0, len(missing) - 5)} more")
            return True

        until(all_ran, ALL_RUN_S, "all pods that were created run")

    def faults(self) -> list[str]:
        """Everything that a change of schedulers must not have done, and that was not told before."""
        found = [each for each in self._faults() if each not in self._told]
        self._told |= set(found)
        return found

    def _faults(self) -> list[str]:
        wrong = [f"the API server refused: {each}" for each in self.stream.failed]
        try:
            self.wait_placed()
        except TooLateError as error:
            wrong.append(str(error))
        now = {
            each.id: each.pod_uid
            for each in self.cluster.containers(self.namespace)
            if each.kind == "container" and each.status == "RUNNING"
        }
        wrong += [f"container {each[:12]} of a steady pod is gone" for each in self.steady if each not in now]
        wrong += self._left_over()
        lives = dict(self.watch.lives)
        if doubled := len(now) - len(set(now.values())):
            wrong.append(f"{doubled} pods have two containers")
        wrong += [f"a container of no pod: {each[:12]}" for each, uid in now.items() if uid not in lives]
        for uid, life in lives.items():
            wrong += [f"{life.name}: {words}" for words in self._of(uid, life)]
        return wrong

    def _left_over(self) -> list[str]:
        """Tasks that the master holds for pods that are gone, or twice for one pod, and that do not end soon."""

        def wrong() -> set[str]:
            tasks = self.cluster.mesos.live_tasks()
            pods = {kubernetes.uid(pod) for pod in self.cluster.api.listed("Pod")}
            count = Counter(map(mesos.pod_uid, tasks))
            return {task for task in tasks if mesos.pod_uid(task) not in pods or count[mesos.pod_uid(task)] > 1}

        first = wrong()
        try:
            until(lambda: not first & wrong(), TASKS_END_S, "tasks of pods that are gone end")
        except TooLateError:
            return [f"task {each} is left over" for each in sorted(first & wrong())]
        return []

    def _of(self, uid: str, life: Life) -> Iterator[str]:
        if life.restarts:
            yield f"{life.restarts} restarts"
        if len(life.nodes) > 1:
            yield f"was bound to {life.nodes}"
        if kubernetes.phase(life.last) == "Failed":
            yield "Failed"
        if life.deleting_s is not None and life.name not in self.stream.deleted:
            yield "was deleted by somebody else"


@contextlib.contextmanager
def loaded(cluster: Cluster, namespace: str, pods: int, every_s: float = 1.0) -> Iterator[Load]:
    """`pods` that only run, and the stream; nothing of them is removed."""
    with watched(cluster.api, namespace) as watch:
        cluster.api.create(workloads.deployment(STEADY, pods), namespace)
        cluster.wait_running(namespace, pods)
        stream = Stream(cluster, namespace, every_s, watch)
        load = Load(cluster, namespace, watch, stream, cluster.app_containers(namespace))
        stream.start()
        try:
            yield load
        finally:
            stream.stop()
