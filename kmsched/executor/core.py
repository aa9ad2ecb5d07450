"""The executor's decisions: `step(state, event, now) -> [Effect]`, a fold without I/O, clock or randomness.

Knows tasks, this node's pods, whether the Node takes pods, and the updates that the agent has not acknowledged.
It does not know how kubelet is configured or watched over (`executor.kubelet`), nor any protocol's spelling.

A task is a reservation for one pod.  The pod's annotation says which task is current; to kill another one ends the
reservation and leaves the pod alone.  A bound pod is deleted only by a kill of its current task, never with grace
0: that would let the API server forget containers that still run.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from uuid import UUID

from kmsched.core.events import TaskState
from kmsched.core.model import LIFECYCLE_TAINTS, Phase
from kmsched.core.resources import Resources
from kmsched.errors import EXIT_CONFIG, EXIT_OK
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.tasks import Sign, Stage, Task, moved

#: A deletion that shows no effect is asked for again after this long.
DELETE_RETRY_S = 5.0
#: A healthy kubelet without a Node object registers only when it is started again.
NODE_WAIT_S = 60.0
#: When kubelet is refused: how long to stay, so that launches on their way get the reason, not a crash.
REFUSED_LINGER_S = 30.0
NO_KUBELET = "kubelet has not been started"


@dataclass(slots=True)
class State:
    """`seed` makes the update ids unique to this process; durations in seconds, 0 turns the limit off."""

    seed: bytes
    launch_grace_s: float
    idle_timeout_s: float
    tasks: dict[str, Task] = field(default_factory=dict)
    updates: list[do.SendUpdate] = field(default_factory=list)  # sent, not acknowledged; in order
    pods: dict[str, ev.PodSeen] = field(default_factory=dict)  # by uid
    is_synced: bool = False  # `pods` is complete
    node: ev.NodeSeen | None = None
    kubelet_trouble: str = NO_KUBELET  # "" while it is healthy
    healthy_since_s: float = 0.0
    is_started: bool = False
    refused: str = ""
    refused_s: float = 0.0
    had_tasks: bool = False
    busy_s: float | None = None  # when there was work last
    is_over: bool = False


def step(state: State, event: ev.Event, now: float) -> list[do.Effect]:
    """Fold one event into `state`; `now` is monotonic seconds. Nothing happens after an Exit."""
    if state.is_over:
        return []
    effects = _taken_in(state, event, now)
    if not state.is_over:
        for task in list(state.tasks.values()):
            effects += _settled(state, task, now)
        effects += _ended(state, now, isinstance(event, ev.Ticked))
    return effects


def unacknowledged_tasks(state: State) -> list[str]:
    """Ids of the tasks of which no update was acknowledged: a restarted agent must be told of them."""
    return [task.task_id for task in state.tasks.values() if not task.is_acknowledged]


def _taken_in(state: State, event: ev.Event, now: float) -> list[do.Effect]:
    match event:
        case ev.Subscribed():
            return _on_subscribed(state, event, now)
        case ev.TaskLaunched() | ev.TaskUnreadable():
            return _on_launch(state, event, now)
        case ev.KillRequested():
            return _on_kill(state, event, now)
        case ev.Acknowledged():
            _on_acknowledged(state, event)
        case ev.PodSeen():
            state.pods[event.uid] = event
        case ev.PodGone():
            state.pods.pop(event.uid, None)
        case ev.PodsListed():
            state.pods = {pod.uid: pod for pod in event.pods}
            state.is_synced = True
        case ev.NodeSeen():
            state.node = event
        case ev.NodeVanished():
            return _on_node_vanished(state)
        case ev.KubeletHealthy():
            if state.kubelet_trouble:
                state.kubelet_trouble, state.healthy_since_s = "", now
        case ev.KubeletUnhealthy(reason) | ev.KubeletExited(reason):
            state.kubelet_trouble = reason
        case ev.KubeletRefused(reason):
            _refuse(state, reason, now)
        case ev.ShutdownRequested():
            return _exit(state, EXIT_OK, "the agent asked for the executor's end; containers run on")
        case ev.AgentLost(reason):
            return _exit(state, EXIT_OK, f"{reason}; containers run on")
        case ev.Ticked():
            return _on_tick(state, now)
    return []


def _on_subscribed(state: State, event: ev.Subscribed, now: float) -> list[do.Effect]:
    if state.is_started:
        return []
    state.is_started = True
    if state.refused:
        return []
    left = event.agent.minus(event.executor)
    if left.cpus <= 0 or left.mem <= 0:
        _refuse(state, _nothing_left(event.agent, event.executor), now)
        return []
    allocatable = Resources(cpus=left.cpus, mem=left.mem)
    return [do.StartKubelet(allocatable, event.hostname, event.attributes, "subscribed to the agent")]


def _nothing_left(agent: Resources, executor: Resources) -> str:
    return (
        f"the agent has {agent.cpus}m cpu and {agent.mem // 1000} MiB, the executor itself takes"
        f" {executor.cpus}m and {executor.mem // 1000} MiB: nothing is left for pods; give the agent more"
    )


def _on_launch(state: State, event: ev.TaskLaunched | ev.TaskUnreadable, now: float) -> list[do.Effect]:
    state.had_tasks = True
    if event.task_id in state.tasks:
        return []
    if isinstance(event, ev.TaskLaunched):
        task = Task(event.task_id, event.mode, event.pod_key, event.pod_uid, Stage.WAITING, now)
        state.tasks[task.task_id] = task
        return []
    task = Task(event.task_id, "bind", "", "", Stage.ENDED, now, updates_made=1)
    state.tasks[task.task_id] = task
    return [_update(state, task, TaskState.FAILED, event.reason, "REASON_TASK_INVALID", now)]


def _on_kill(state: State, event: ev.KillRequested, now: float) -> list[do.Effect]:
    """Repeats are harmless; of an unknown task the agent itself tells the scheduler."""
    task = state.tasks.get(event.task_id)
    if task is None:
        return []
    pod = state.pods.get(task.pod_uid)
    if task.stage is Stage.KILLING and pod is not None and pod.is_terminating:
        return []
    grace_s = None if event.grace_s is None else max(1, math.ceil(event.grace_s))
    sign = Sign.KILL_POD if _is_current(task, pod) else Sign.KILL_RESERVATION
    state.tasks[task.task_id] = task = replace(task, grace_s=grace_s, has_pod=task.has_pod or pod is not None)
    return _apply(state, task, sign, now)


def _on_acknowledged(state: State, event: ev.Acknowledged) -> None:
    state.updates = [u for u in state.updates if (u.task_id, u.update_id) != (event.task_id, event.update_id)]
    task = state.tasks.get(event.task_id)
    if task is None:
        return
    state.tasks[task.task_id] = replace(task, is_acknowledged=True)
    if task.stage is Stage.ENDED and not any(u.task_id == task.task_id for u in state.updates):
        del state.tasks[task.task_id]


def _on_node_vanished(state: State) -> list[do.Effect]:
    if state.node is None:
        return []
    state.node = None
    return _restart(state, "the Node object has vanished; kubelet registers only when it starts")


def _restart(state: State, reason: str) -> list[do.Effect]:
    if not state.is_started or state.refused:
        return []
    state.kubelet_trouble = f"kubelet is being started again: {reason}"
    return [do.RestartKubelet(reason)]


def _on_tick(state: State, now: float) -> list[do.Effect]:
    effects: list[do.Effect] = []
    if (
        state.node is None
        and state.is_synced
        and not state.kubelet_trouble
        and now - state.healthy_since_s >= NODE_WAIT_S
    ):
        effects += _restart(state, f"it has been healthy for {NODE_WAIT_S:.0f} s, and there is no Node object")
    for task in list(state.tasks.values()):
        asked_s = task.delete_asked_s
        if task.stage is Stage.KILLING and asked_s is not None and now - asked_s >= DELETE_RETRY_S:
            effects += _delete_again(state, task, now)
    return effects


def _delete_again(state: State, task: Task, now: float) -> list[do.Effect]:
    pod = state.pods.get(task.pod_uid)
    if pod is None or pod.is_terminating:
        return []
    if not _is_current(task, pod):
        return _apply(state, task, Sign.KILL_RESERVATION, now)
    return [_deletion(state, task, now)]


def _deletion(state: State, task: Task, now: float) -> do.DeletePod:
    state.tasks[task.task_id] = replace(task, delete_asked_s=now)
    return do.DeletePod(task.pod_key, task.pod_uid, task.grace_s, f"its task {task.task_id} is killed")


def _refuse(state: State, reason: str, now: float) -> None:
    if not state.refused:
        state.refused, state.refused_s = reason, now
        state.kubelet_trouble = reason


# --- what a task makes of all this


def _is_current(task: Task, pod: ev.PodSeen | None) -> bool:
    return pod is not None and pod.task_id == task.task_id


def _follows(task: Task, pod: ev.PodSeen) -> bool:
    """Is the pod's life this task's? A pod that came here by another task's Binding is not this one's."""
    return task.mode == "adopt" or task.has_pod or _is_current(task, pod)


def node_trouble(state: State) -> str:
    """Why this node does not take pods; "" when it does."""
    if state.kubelet_trouble:
        return state.kubelet_trouble
    if state.node is None:
        return "there is no Node object yet"
    if state.node.not_ready_reason:
        return f"the Node is not Ready: {state.node.not_ready_reason}"
    taints = [t.key for t in state.node.taints if t.effect == "NoExecute" and t.key in LIFECYCLE_TAINTS]
    return f"the Node still has the taint {taints[0]}" if taints else ""


def _pod_sign(state: State, task: Task) -> Sign | None:
    pod = state.pods.get(task.pod_uid)
    if pod is None:
        if task.has_pod:
            return Sign.POD_GONE
        return Sign.POD_ABSENT if task.mode == "adopt" and state.is_synced else None
    if not _follows(task, pod):
        return None
    if pod.is_terminating and pod.phase.is_terminal:
        return Sign.POD_GONE  # kubelet has ended its containers; a finalizer may keep the object
    if pod.phase is Phase.SUCCEEDED:
        return Sign.POD_SUCCEEDED
    if pod.phase is Phase.FAILED:
        return Sign.POD_FAILED
    return Sign.POD_RUNNING if pod.phase is Phase.RUNNING or pod.has_started else None


def _grace_passed(state: State, task: Task, now: float) -> bool:
    if not state.launch_grace_s or now - task.since_s < state.launch_grace_s:
        return False
    return task.stage is Stage.WAITING or (task.stage is Stage.STARTING and not task.has_pod)


def _signs(state: State, task: Task, now: float) -> list[Sign]:
    """What holds for the task now, weightiest first."""
    signs = [Sign.KUBELET_REFUSED] if state.refused else []
    if pod_sign := _pod_sign(state, task):
        signs.append(pod_sign)
    if not node_trouble(state):
        signs.append(Sign.NODE_USABLE)
    if _grace_passed(state, task, now):
        signs.append(Sign.GRACE_PASSED)
    return signs


def _settled(state: State, task: Task, now: float) -> list[do.Effect]:
    """Move the task for as long as a sign moves it: at most once through its stages."""
    pod = state.pods.get(task.pod_uid)
    if pod is not None and not task.has_pod and _follows(task, pod):
        state.tasks[task.task_id] = task = replace(task, has_pod=True)
    effects: list[do.Effect] = []
    for _ in Stage:
        stage = task.stage
        for sign in _signs(state, task, now):
            effects += _apply(state, task, sign, now)
            task = state.tasks[task.task_id]
            if task.stage is not stage:
                break
        else:
            break
    return effects


def _apply(state: State, task: Task, sign: Sign, now: float) -> list[do.Effect]:
    before = task.stage
    message = _words(state, task, sign)
    task, report = moved(task, sign, now)
    state.tasks[task.task_id] = task
    if report is None:
        return []
    effects: list[do.Effect] = [_update(state, task, report, message, "", now)]
    if task.stage is Stage.KILLING and before is not Stage.KILLING:
        effects.append(_deletion(state, task, now))
    return effects


def _words(state: State, task: Task, sign: Sign) -> str:
    pod = state.pods.get(task.pod_uid)
    match sign:
        case Sign.KUBELET_REFUSED:
            return state.refused
        case Sign.POD_FAILED if pod is not None:
            said = ": ".join(part for part in (pod.reason, pod.exit_summary) if part)
            return f"pod {task.pod_key} failed: {said or 'no reason given'}"
        case Sign.POD_ABSENT:
            return f"pod {task.pod_key} (uid {task.pod_uid}), which was to be adopted, is not on this node"
        case Sign.GRACE_PASSED:
            waited_for = node_trouble(state) or f"pod {task.pod_key} was not bound to this node"
            return f"launch grace of {state.launch_grace_s:g} s has passed: {waited_for}"
        case Sign.KILL_RESERVATION if pod is not None:
            owner = pod.task_id or "none"
            return f"reservation ended; pod {task.pod_key} stays, its current task is {owner}"
        case Sign.KILL_RESERVATION:
            return f"reservation ended; pod {task.pod_key} is not on this node"
        case _:
            return f"pod {task.pod_key}: {sign.value}"


def _update(state: State, task: Task, report: TaskState, message: str, reason: str, now: float) -> do.SendUpdate:
    digest = hashlib.sha256(state.seed + f"/{task.task_id}/{task.updates_made}".encode()).digest()
    update_id = UUID(bytes=digest[:16], version=4).bytes
    update = do.SendUpdate(task.task_id, report, update_id, message, reason, now)
    state.updates.append(update)
    return update


# --- the executor's own end


def _ended(state: State, now: float, is_tick: bool) -> list[do.Effect]:
    has_pods = any(not pod.phase.is_terminal and not pod.is_static for pod in state.pods.values())
    if state.tasks or has_pods or state.busy_s is None:
        state.busy_s = now
    if state.refused and not state.tasks and (state.had_tasks or now - state.refused_s >= REFUSED_LINGER_S):
        return _exit(state, EXIT_CONFIG, state.refused)
    if state.refused and now - state.refused_s >= REFUSED_LINGER_S:
        return _exit(state, EXIT_CONFIG, f"{state.refused}; not every update was acknowledged")
    idle_s = now - state.busy_s
    if is_tick and state.idle_timeout_s and idle_s >= state.idle_timeout_s:
        return _exit(state, EXIT_OK, f"no task and no pod for {idle_s:.0f} s")
    return []


def _exit(state: State, code: int, reason: str) -> list[do.Effect]:
    state.is_over = True
    return [do.StopKubelet(reason), do.Exit(code, reason)]
