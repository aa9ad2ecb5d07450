"""A host's kubelet with its containers, and the executor's shell around the real executor core.

Containers live on when kubelet or the executor dies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from kmsched.core.model import Node, Phase, Pod
from kmsched.core.resources import NO_COUNTS, Counts
from kmsched.executor import core
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.state import State
from tests.sim.kube import Kube, Watch
from tests.sim.loop import Loop

POLL_S = 0.5
KILL_S = 2.0
LAUNCH_GRACE_S = 40.0
NODE_GRACE_S = 16.0
FRAMEWORK_ID = "F"


class Kubelet:
    """`finish_s`: after how long a container of the pod ends by itself; None never."""

    def __init__(
        self, loop: Loop, kube: Kube, node_name: str, allocatable: Counts, finish_s: Callable[[str], float | None]
    ) -> None:
        self.loop, self.kube, self.node_name, self.allocatable = loop, kube, node_name, allocatable
        self.finish_s = finish_s
        self.is_up = False
        self.seen_up = loop.now
        self.containers: dict[str, float] = {}  # uid -> when it finishes
        self.exited: set[str] = set()
        self.starts: dict[str, int] = {}
        loop.every(POLL_S, self.poll)

    def start(self) -> None:
        self.is_up = True
        self.seen_up = self.loop.now
        node = Node(
            self.node_name,
            self.allocatable,
            is_ready=True,
            agent_id=self.node_name,
            framework_id=FRAMEWORK_ID,
        )
        self.kube.put_node(node)

    def poll(self) -> None:
        for uid, ends_at in list(self.containers.items()):
            if ends_at <= self.loop.now:
                del self.containers[uid]
                self.exited.add(uid)
        if not self.is_up:
            self._be_missed()
            return
        self.seen_up = self.loop.now
        mine = {pod.uid: pod for pod in self.kube.pods.values() if pod.node_name == self.node_name}
        for pod in mine.values():
            if not pod.phase.is_terminal:
                self._sync(pod, mine)
        for uid in [uid for uid in self.containers if uid not in mine]:
            self._kill(uid)

    def _be_missed(self) -> None:
        """As the controller of Nodes does it."""
        node = self.kube.nodes.get(self.node_name)
        is_spoken_for = node is not None and node.is_promised  # by the scheduler
        if node is not None and not is_spoken_for and self.loop.now - self.seen_up >= NODE_GRACE_S:
            self.kube.put_node(replace(node, is_ready=False))

    def _sync(self, pod: Pod, mine: dict[str, Pod]) -> None:
        if pod.uid in self.exited:
            self.kube.set_phase(pod.uid, Phase.SUCCEEDED)
            if pod.is_terminating:
                self.kube.finalize(pod.uid)
        elif pod.is_terminating:
            if pod.uid in self.containers:
                self.loop.at(KILL_S, lambda: self._kill(pod.uid))
            else:
                self.kube.finalize(pod.uid)
        elif pod.uid in self.containers:
            self.kube.set_phase(pod.uid, Phase.RUNNING)
        else:
            self._admit(pod, mine)

    def _admit(self, pod: Pod, mine: dict[str, Pod]) -> None:
        used = NO_COUNTS
        for uid in self.containers:
            if uid in mine:
                used = used.plus(mine[uid].counts)
        left = self.allocatable.minus(used).minus(pod.counts)
        if min(structs.astuple(left)) < 0:
            words = f"kubelet on {self.node_name} refuses pod {pod.uid}: {left} would be left"
            self.loop.require(any(uid in self.kube.bound_late for uid in mine), words)
            self.loop.tell(words)
            self.kube.set_phase(pod.uid, Phase.FAILED)
            return
        self.starts[pod.uid] = self.starts.get(pod.uid, 0) + 1
        finish_s = self.finish_s(pod.uid)
        self.containers[pod.uid] = float("inf") if finish_s is None else self.loop.now + finish_s
        self.loop.tell(f"{self.node_name} starts a container of {pod.uid}")

    def _kill(self, uid: str) -> None:
        if not self.is_up or uid not in self.containers:
            return
        self.loop.require(
            uid in self.kube.user_deleted, f"a running container of {uid} is killed, not deleted by a user"
        )
        self.loop.tell(f"{self.node_name} has ended the container of {uid}")
        del self.containers[uid]
        self.kube.finalize(uid)


class Executor:
    """`update` hands an update to the agent, `ended` tells it that the process is gone."""

    def __init__(
        self,
        loop: Loop,
        kube: Kube,
        kubelet: Kubelet,
        *,
        update: Callable[[do.SendUpdate], None],
        ended: Callable[[], None],
        idle_timeout_s: float,
    ) -> None:
        self.loop, self.kube, self.kubelet = loop, kube, kubelet
        self._update, self._ended = update, ended
        self.state = State(str(loop.rng.random()).encode(), LAUNCH_GRACE_S, idle_timeout_s)
        self.is_alive = True
        self._watch: Watch | None = None
        self._node_watch: Watch | None = None
        self._tick()

    def take(self, event: ev.Event) -> None:
        if not self.is_alive:
            return
        for effect in core.step(self.state, event, self.loop.now):
            self._carry_out(effect)

    def die(self) -> None:
        """The process ends at once, and kubelet with it."""
        self.is_alive = False
        self.kubelet.is_up = False
        for watch in (self._watch, self._node_watch):
            if watch is not None:
                self.kube.close(watch)

    def relist(self) -> None:
        if self._watch is not None and self.is_alive:
            self.kube.close(self._watch)
            self._watch = self.kube.watch_pods(self._seen, self.kubelet.node_name)

    def _tick(self) -> None:
        if self.is_alive:
            self.take(ev.Ticked())
            self.loop.at(1.0, self._tick)

    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.StartKubelet():
                self._watch = self.kube.watch_pods(self._seen, self.kubelet.node_name)
                self._node_watch = self.kube.watch_nodes(self._node_seen)
                slow_s = self.loop.between(10.0, 50.0) if self.loop.chance(0.1) else 0.0
                self.loop.at(self.loop.between(0.1, 2.0) + slow_s, self._kubelet_starts)
            case do.RestartKubelet():
                self.kubelet.is_up = False
                self.loop.at(self.loop.between(0.1, 2.0), self._kubelet_starts)
            case do.SendUpdate():
                self._update(effect)
            case do.DeletePod():
                if self.loop.chance(0.8):  # else the call fails
                    self.loop.at(self.loop.between(0.0, 0.2), lambda: self.kube.delete_drained(effect.key, effect.uid))
            case do.Exit():
                self.die()
                self._ended()
            case _:
                pass

    def _kubelet_starts(self) -> None:
        if self.is_alive:
            self.kubelet.start()
            self.take(ev.KubeletHealthy())

    def _node_seen(self, kind: str, item: object) -> None:
        for node in item if isinstance(item, tuple) else (item,):
            if not isinstance(node, Node) or node.name != self.kubelet.node_name:
                continue
            if kind == "delete":
                self.take(ev.NodeVanished())
            elif not node.is_promised:
                self.take(ev.NodeSeen("" if node.is_ready else "kubelet stopped"))

    def _seen(self, kind: str, item: object) -> None:
        if isinstance(item, tuple):
            self.take(ev.PodsListed(tuple(pod_seen(pod) for pod in item)))
        elif isinstance(item, Pod):
            self.take(ev.PodGone(item.uid) if kind == "delete" else pod_seen(item))


def pod_seen(pod: Pod) -> ev.PodSeen:
    return ev.PodSeen(
        key=pod.key,
        uid=pod.uid,
        phase=pod.phase,
        task_id=pod.task_id,
        has_started=pod.phase is Phase.RUNNING,
        is_terminating=pod.is_terminating,
    )
