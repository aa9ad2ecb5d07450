"""One scheduler process around the real core: its two watches, its subscription, its calls; it can die anywhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kmsched.core import effects as do
from kmsched.core import events as ev
from kmsched.core.model import Node, Pod, Settings
from kmsched.core.resources import NO_COUNTS
from kmsched.core.state import State
from kmsched.core.tasks import PodState
from tests.sim.kube import Conflict, Kube, Watch
from tests.sim.loop import Loop
from tests.sim.master import Connection, Master

TICK_S = 0.5
GATHER_S = 0.025
#: between two slices of a cycle, at most
SLICE_S = 0.2
#: a call whose caller has given up is served within
LATE_S = (3.0, 20.0)

Step = Callable[[State, ev.Event, float], Sequence[do.Effect]]
PodWrite = do.BindPod | do.AdoptPod


@dataclass(frozen=True, slots=True)
class Shell:
    """How the process is made; what differs from the default is a defect that must be noticed."""

    step: Step
    has_preconditions: bool = True  # Bindings carry uid and resourceVersion
    waits_for_lists: bool = True  # no SUBSCRIBE before pods and Nodes are known


class Scheduler:
    def __init__(self, loop: Loop, kube: Kube, master: Master, settings: Settings, term: int, shell: Shell) -> None:
        self.loop, self.kube, self.master, self.shell = loop, kube, master, shell
        self.state = State(settings, term)
        self.is_alive = True
        self.dies_after: int | None = None  # effects
        self.may_fail = True
        self.is_cut_off = False  # from the API server, most of the time
        self._connection: Connection | None = None
        self._writes: dict[str, deque[PodWrite]] = {}
        self._decided: set[str] = set()  # tasks of which a write has ended
        self._has_subscribed = False
        self._is_tick_waiting = False
        self._is_slice_waiting = False
        self._pods: Watch = kube.watch_pods(self._pod_seen)
        self._nodes: Watch = kube.watch_nodes(self._node_seen)
        loop.tell(f"scheduler of term {term} starts")
        if not shell.waits_for_lists:
            self._subscribe()
        self._tick_forever()

    def die(self) -> None:
        """What was sent may still arrive; nothing is heard any more."""
        if not self.is_alive:
            return
        self.loop.tell(f"scheduler of term {self.state.term} dies")
        self.is_alive = False
        self.kube.close(self._pods)
        self.kube.close(self._nodes)
        if self._connection is not None:
            connection = self._connection
            connection.down.close()
            connection.up.send(lambda: self.master.disconnected(connection))

    def relist(self) -> None:
        if self.is_alive:
            self.kube.close(self._pods)
            self._pods = self.kube.watch_pods(self._pod_seen)

    def take(self, event: ev.Event) -> None:
        if not self.is_alive:
            return
        if not isinstance(event, ev.Ticked | ev.CycleInterrupted):
            self.loop.tell(f"scheduler hears {_short(event)}")
            self._tick_soon()
        for effect in self.shell.step(self.state, event, self.loop.now):
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    self.die()
                    return
            self.loop.tell(f"scheduler does {_short(effect)}")
            if isinstance(effect, do.KillTask):
                self._check_kill(effect)
            self._carry_out(effect)
        if self.state.cycle is not None and not self._is_slice_waiting:
            self._is_slice_waiting = True
            self.loop.at(self.loop.between(0.0, SLICE_S), self._go_on)

    def _check_kill(self, effect: do.KillTask) -> None:
        """An executor takes a kill of the task that its pod names for one that is late, so nobody may mean it."""
        self.loop.require(self.state.has_pods, f"{effect.task_id} is killed, and which pods there are is not known")
        pod = next((r.pod for r in self.state.pods.values() if r.pod.task_id == effect.task_id), None)
        is_over = pod is None or pod.is_terminating or pod.phase.is_terminal
        self.loop.require(is_over, f"{effect.task_id} is killed, and its pod names it, as the scheduler knows")

    def _go_on(self) -> None:
        self._is_slice_waiting = False
        self.take(ev.CycleInterrupted())

    def _tick_soon(self) -> None:
        if not self._is_tick_waiting:
            self._is_tick_waiting = True
            self.loop.at(GATHER_S, self._tick)

    def _tick(self) -> None:
        self._is_tick_waiting = False
        self.take(ev.Ticked())

    def _tick_forever(self) -> None:
        if self.is_alive:
            self.loop.at(TICK_S, self._tick_forever)
            self._tick_soon()

    # --- Kubernetes

    def _pod_seen(self, kind: str, item: object) -> None:
        if isinstance(item, tuple):
            self.take(ev.PodsListed(item, self._pods.version))
            self._listed()
        elif isinstance(item, Pod):
            self.take(ev.PodDeleted(item.key, item.uid) if kind == "delete" else ev.PodChanged(item))

    def _node_seen(self, kind: str, item: object) -> None:
        if isinstance(item, tuple):
            self.take(ev.NodesListed(item))
            self._listed()
        elif isinstance(item, Node):
            self.take(ev.NodeDeleted(item.name) if kind == "delete" else ev.NodeChanged(item))

    def _listed(self) -> None:
        if self.shell.waits_for_lists and self.state.has_pods and self.state.has_nodes and not self._has_subscribed:
            self._subscribe()

    def _write_node(self, effect: do.RegisterNode | do.RemoveNode) -> None:
        """Its watch tells what became of it; some calls are lost, and some come late."""
        if self.may_fail and self.loop.chance(0.3):
            if self.loop.chance(0.5):
                return
            self.loop.at(self.loop.between(*LATE_S), lambda: self._serve_node(effect))
        elif isinstance(effect, do.RegisterNode) or not self.kube.has_pods(effect.name):
            self.loop.at(self.loop.between(0.005, 0.1), lambda: self._serve_node(effect))

    def _serve_node(self, effect: do.RegisterNode | do.RemoveNode) -> None:
        with suppress(Conflict):
            if isinstance(effect, do.RemoveNode):
                self.kube.remove_node(effect.name, effect.uid, effect.resource_version)
            else:
                promised = Node(
                    effect.name,
                    NO_COUNTS,
                    is_ready=True,
                    agent_id=effect.agent_id,
                    framework_id=effect.framework_id,
                    is_promised=True,
                )
                self.kube.register_node(promised)

    def _put_write(self, effect: PodWrite) -> None:
        waiting = self._writes.setdefault(effect.key, deque())
        waiting.append(effect)
        if len(waiting) == 1:
            self._write(effect)

    def _write(self, effect: PodWrite) -> None:
        """One of: it is done and answered; done, the answer lost; lost; done after its caller gave up."""
        fails = self.may_fail and (self.is_cut_off or self.loop.chance(0.15))
        how = self.loop.rng.choice(("answer lost", "lost", "late")) if fails else ""
        delay_s = self.loop.between(0.005, 0.1)
        if fails:
            self.loop.tell(f"that call will be: {how}")
            if how != "lost":
                late_s = self.loop.between(0.0, self.loop.rng.choice(LATE_S)) if how == "late" else 0.0
                self.loop.at(delay_s + late_s, lambda: self._serve_late(effect))
            self.loop.at(0.2, lambda: self._ended(effect, [self._failed(effect)]))
        else:
            self.loop.at(delay_s, lambda: self._answer(effect, self._serve(effect)))

    def _serve_late(self, effect: PodWrite) -> None:
        was_bound = effect.uid in self.kube.bindings
        self._serve(effect)
        if effect.uid in self.kube.bindings and not was_bound:
            self.kube.bound_late.add(effect.uid)

    def _answer(self, effect: PodWrite, events: list[ev.Event]) -> None:
        self.loop.at(self.loop.between(0.005, 0.1), lambda: self._ended(effect, events))

    def _ended(self, effect: PodWrite, events: list[ev.Event]) -> None:
        if not self.is_alive:
            return
        self._decided.add(effect.task_id)
        waiting = self._writes[effect.key]
        for event in events:
            self.take(event)
        waiting.popleft()
        if waiting:
            self._write(waiting[0])

    def _serve(self, effect: PodWrite) -> list[ev.Event]:
        """At the API server; after a refusal the pod is read."""
        has = self.shell.has_preconditions
        uid, version = (effect.uid, effect.resource_version) if has else ("", "")
        agent_id = dict(effect.annotations)["k8s.mesosphere.io/slaveId"]
        is_bind = isinstance(effect, do.BindPod)
        try:
            if isinstance(effect, do.BindPod):
                self.kube.bind(effect.key, uid, version, effect.node_name, effect.task_id, agent_id)
            else:
                self.kube.patch(effect.key, uid, version, effect.old_task_id, effect.task_id, agent_id)
        except Conflict as error:
            return self._refused(effect, str(error))
        done = ev.PodBound if is_bind else ev.PodAdopted
        return [done(effect.key, effect.uid, effect.task_id)]

    def _refused(self, effect: PodWrite, reason: str) -> list[ev.Event]:
        is_bind = isinstance(effect, do.BindPod)
        pod = self.kube.pods.get(effect.key)
        events: list[ev.Event] = [ev.PodChanged(pod)] if pod is not None else []
        if pod is None or pod.uid != effect.uid:
            events.insert(0, ev.PodDeleted(effect.key, effect.uid))
        elif pod.task_id == effect.task_id:
            done = ev.PodBound if is_bind else ev.PodAdopted
            return [*events, done(effect.key, effect.uid, effect.task_id)]
        refused = ev.BindRefused if is_bind else ev.AdoptRefused
        return [*events, refused(effect.key, effect.uid, effect.task_id, reason)]

    def _failed(self, effect: PodWrite) -> ev.Event:
        failed = ev.BindFailed if isinstance(effect, do.BindPod) else ev.AdoptFailed
        return failed(effect.key, effect.uid, effect.task_id, "no answer in time")

    # --- Mesos

    def _subscribe(self) -> None:
        if not self.is_alive:
            return
        self._has_subscribed = True
        connection = Connection(self.loop, self.take, self._lost)
        if self.master.subscribe(connection):
            self._connection = connection
        else:
            self.loop.at(self.loop.between(0.2, 1.0), self._subscribe)

    def _lost(self) -> None:
        if self.is_alive:
            self._connection = None
            self.take(ev.Disconnected("the master went"))
            self._subscribe()

    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.BindPod() | do.AdoptPod():
                self._put_write(effect)
            case do.ReportPod():
                pass
            case do.RegisterNode() | do.RemoveNode():
                self.loop.at(self.loop.between(0.005, 0.1), lambda: self._write_node(effect))
            case _:
                if isinstance(effect, do.AcknowledgeUpdate):
                    self._check_acknowledged(effect)
                connection = self._connection
                if connection is None:
                    self._not_taken(effect)
                else:
                    connection.up.send(lambda: self._call(connection, effect))

    def _call(self, connection: Connection, effect: do.Effect) -> None:
        if not self.master.call(connection, effect):
            self.loop.at(0.01, lambda: self._not_taken(effect))

    def _not_taken(self, effect: do.Effect) -> None:
        if isinstance(effect, do.AcceptOffers):
            self.take(ev.AcceptRefused(tuple(launch.task_id for launch in effect.launches), "not subscribed"))

    def _check_acknowledged(self, effect: do.AcknowledgeUpdate) -> None:
        record = self.state.pods.get(effect.task_id.partition(".")[0])
        if record is None or record.task_id != effect.task_id:
            return
        waits = record.state is PodState.BINDING or (record.state is PodState.ADOPTING and record.has_started)
        is_early = waits and effect.task_id not in self._decided
        self.loop.require(not is_early, f"{effect.task_id} is acknowledged before its write was decided or failed")


def _short(item: object) -> str:
    """For one line of the trace."""
    match item:
        case ev.PodChanged(p):
            end = " terminating" if p.is_terminating else ""
            return f"PodChanged {p.uid} v{p.resource_version} on {p.node_name} by {p.task_id} {p.phase.value}{end}"
        case ev.PodsListed(pods):
            return f"PodsListed {[pod.uid for pod in pods]}"
        case ev.TaskUpdated():
            words = (item.state.value, "on", item.agent_id, item.source, item.reason, item.update_id[:8])
            return f"{item.task_id} {' '.join(words)}"
        case ev.OffersArrived(offers):
            return f"offers {[(o.offer_id, o.agent_id, o.resources.cpus, *o.executor_ids) for o in offers]}"
        case do.AcceptOffers():
            return f"AcceptOffers {item.offer_ids} {[(t.task_id, t.mode) for t in item.launches]}"
        case do.BindPod() | do.AdoptPod():
            return f"{type(item).__name__} {item.uid} v{item.resource_version} by {item.task_id}"
        case _:
            return f"{item}"[:230]
