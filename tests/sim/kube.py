"""The API server: pods and Nodes with versions, a Binding that is made once, deletion, and watches that lag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kmsched.core.model import HostPort, Node, Phase, Pod, Wishes
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.taskid import parse_task_id
from tests.sim.loop import Channel, Loop

WATCH_DELAY_S = 0.2
WATCH_STALLS_S = (3.0, 12.0)
#: after this, pods whose Node has gone are deleted
POD_GC_S = 40.0

Told = Callable[[str, object], None]


class Conflict(Exception):
    """409 or 404."""


@dataclass(slots=True)
class Watch:
    """`tell` gets ("list", pods), ("change", pod), ("delete", pod), or the same of nodes."""

    tell: Told
    channel: Channel
    node_name: str = ""
    version: str = ""  # of its list


class Kube:
    def __init__(self, loop: Loop, list_delay_s: float) -> None:
        self.stall_s = loop.rng.choice(WATCH_STALLS_S)
        self.loop = loop
        self.pods: dict[str, Pod] = {}  # by key
        self.nodes: dict[str, Node] = {}
        self.bindings: dict[str, str] = {}  # uid -> task id, of every pod ever bound
        self.user_deleted: set[str] = set()  # uids; what an executor deleted for an operator, too
        self.drained: set[str] = set()  # uids of pods whose agent an operator has drained
        self.bound_late: set[str] = set()  # uids bound by a call that its caller had given up
        self.nodeless: dict[str, float] = {}  # node name -> when its Node was removed last
        loop.every(1.0, self._collect)
        self._list_delay_s = list_delay_s
        self._pod_watches: list[Watch] = []
        self._node_watches: list[Watch] = []
        self._version = 0
        self._uids = 0

    # --- what users do

    def create(self, key: str, requests: Resources, priority: int) -> Pod:
        self._uids += 1
        uid = f"p{self._uids}"
        self._put(
            Pod(
                key=key,
                uid=uid,
                resource_version="",
                scheduler_name="default-scheduler",
                node_name="",
                phase=Phase.PENDING,
                is_terminating=False,
                is_static=False,
                is_gated=False,
                priority=priority,
                created_s=self.loop.now,
                requests=requests,
                counts=whole_counts(requests),
                **_ports(int(key.partition("/")[2])),
            )
        )
        return self.pods[key]

    def delete_by_user(self, key: str) -> None:
        self.loop.tell(f"the user deletes pod {self.pods[key].uid}")
        self._delete(self.pods[key])

    def delete_drained(self, key: str, uid: str) -> None:
        """As an executor does it."""
        pod = self.pods.get(key)
        if pod is not None and pod.uid == uid:
            self.loop.tell(f"the executor on {pod.node_name} deletes pod {uid}")
            self.loop.require(uid in self.drained, f"pod {uid} is deleted, and nobody drains its agent")
            self._delete(pod)

    def _delete(self, pod: Pod) -> None:
        self.user_deleted.add(pod.uid)
        if not pod.is_bound or pod.phase.is_terminal:
            self.finalize(pod.uid)
        elif not pod.is_terminating:
            self._put(replace(pod, is_terminating=True))

    def touch(self, key: str) -> None:
        self._put(self.pods[key])

    # --- what everybody calls

    def finalize(self, uid: str) -> None:
        pod = self.find(uid)
        if pod is not None:
            del self.pods[pod.key]
            self._tell(self._pod_watches, "delete", pod, pod.node_name)

    def find(self, uid: str) -> Pod | None:
        return next((pod for pod in self.pods.values() if pod.uid == uid), None)

    def set_phase(self, uid: str, phase: Phase) -> None:
        pod = self.find(uid)
        if pod is not None and pod.phase is not phase:
            self._put(replace(pod, phase=phase))

    def bind(self, key: str, uid: str, version: str, node_name: str, task_id: str, agent_id: str) -> None:
        """`uid` and `version` "" are no preconditions."""
        pod = self._guarded(key, uid, version)
        if pod.is_bound or pod.is_terminating:
            raise Conflict(f"pod {pod.uid} is bound to {pod.node_name or 'no node'}, or is being deleted")
        named = parse_task_id(task_id)
        is_own = named is not None and named.pod_uid == pod.uid
        self.loop.require(is_own, f"pod {pod.uid} is bound by task {task_id}, which was made for another pod")
        self.loop.require(pod.uid not in self.bindings, f"pod {pod.uid} is bound twice")
        self.bindings[pod.uid] = task_id
        self._put(replace(pod, node_name=node_name, task_id=task_id, agent_id=agent_id))

    def patch(self, key: str, uid: str, version: str, old_task_id: str, task_id: str, agent_id: str) -> None:
        pod = self._guarded(key, uid, version)
        if pod.task_id != old_task_id:
            raise Conflict(f"pod {uid} names {pod.task_id}, not {old_task_id}")
        self._put(replace(pod, task_id=task_id, agent_id=agent_id))

    def put_node(self, node: Node) -> None:
        before = self.nodes.get(node.name)
        if before is None:
            self._uids += 1
            node = replace(node, uid=f"n{self._uids}")
        else:
            node = replace(node, uid=before.uid)
        if before != node:
            self._version += 1
            self.nodes[node.name] = replace(node, resource_version=str(self._version))
            self._tell(self._node_watches, "change", self.nodes[node.name], node.name)

    def register_node(self, node: Node) -> None:
        if node.name in self.nodes:
            raise Conflict(f"Node {node.name} exists")
        self.put_node(node)

    def remove_node(self, name: str, uid: str, version: str) -> None:
        node = self.nodes.get(name)
        if node is None or (node.uid, node.resource_version) != (uid, version):
            raise Conflict(f"Node {name} is {node}, not {uid} at {version}")
        self.loop.tell(f"Node {name} is removed")
        del self.nodes[name]
        self.nodeless[name] = self.loop.now
        self._tell(self._node_watches, "delete", node, name)

    def has_pods(self, name: str) -> bool:
        return any(pod.node_name == name for pod in self.pods.values())

    def _collect(self) -> None:
        """What the garbage collector of pods would do."""
        for pod in self.pods.values():
            missing_s = self.loop.now - self.nodeless.get(pod.node_name, self.loop.now)
            is_collected = pod.is_bound and pod.node_name not in self.nodes and missing_s > POD_GC_S
            self.loop.require(not is_collected, f"pod {pod.uid} is bound to {pod.node_name}, which has no Node")

    # --- watches

    def watch_pods(self, tell: Told, node_name: str = "") -> Watch:
        """List, then watch; with a node only its pods."""
        watch = Watch(tell, Channel(self.loop, WATCH_DELAY_S, self.stall_s), node_name)
        pods = tuple(p for p in self.pods.values() if not node_name or p.node_name == node_name)
        watch.version = str(self._version)
        self._pod_watches.append(watch)
        self._start(watch, pods)
        return watch

    def watch_nodes(self, tell: Told) -> Watch:
        watch = Watch(tell, Channel(self.loop, WATCH_DELAY_S))
        self._node_watches.append(watch)
        self._start(watch, tuple(self.nodes.values()))
        return watch

    def close(self, watch: Watch) -> None:
        watch.channel.close()
        for watches in (self._pod_watches, self._node_watches):
            if watch in watches:
                watches.remove(watch)

    def _start(self, watch: Watch, items: tuple[object, ...]) -> None:
        watch.channel.stall(self.loop.between(0.0, self._list_delay_s))
        watch.channel.send(lambda: watch.tell("list", items))

    def _tell(self, watches: list[Watch], kind: str, item: object, node_name: str) -> None:
        for watch in watches:
            if watch.node_name in ("", node_name):
                watch.channel.send(lambda watch=watch: watch.tell(kind, item))  # type: ignore[misc]

    def _guarded(self, key: str, uid: str, version: str) -> Pod:
        pod = self.pods.get(key)
        if pod is None:
            raise Conflict(f"there is no pod {key}")
        if (uid and pod.uid != uid) or (version and pod.resource_version != version):
            raise Conflict(f"pod {key} is {pod.uid} at {pod.resource_version}, not {uid} at {version}")
        return pod

    def _put(self, pod: Pod) -> None:
        self._version += 1
        pod = replace(pod, resource_version=str(self._version))
        self.pods[pod.key] = pod
        self._tell(self._pod_watches, "change", pod, pod.node_name)


def _ports(number: int) -> dict[str, Any]:
    """One in four has a host port of its own, one in four is given one: the lowest that is free, so not those."""
    if number % 4 == 0:
        return {"host_ports": frozenset({HostPort("TCP", "0.0.0.0", 31019 - number)})}
    if number % 4 == 1:
        return {"wishes": Wishes(port_mapping="wildcard", open_ports=(("TCP", 80, ""),))}
    return {}
