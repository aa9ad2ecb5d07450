"""What a task makes of all that is known: the signs that hold for it, its moves, what Mesos is told, and in what words.

Knows one task and its pod at a time.  Which event has come it does not know: `executor.core` takes those in.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

from kmsched.core.events import TaskState
from kmsched.core.model import Phase
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.state import State, node_trouble
from kmsched.executor.tasks import Sign, Stage, Task, moved


def is_current(task: Task, pod: ev.PodSeen | None) -> bool:
    return pod is not None and pod.task_id == task.task_id


def _follows(task: Task, pod: ev.PodSeen) -> bool:
    """Is the pod's life this task's? A pod that came here by another task's Binding is not this one's."""
    return task.mode == "adopt" or task.has_pod or is_current(task, pod)


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


def settled(state: State, task: Task, now: float) -> list[do.Effect]:
    """Move the task for as long as a sign moves it: at most once through its stages."""
    pod = state.pods.get(task.pod_uid)
    if pod is not None and not task.has_pod and _follows(task, pod):
        state.tasks[task.task_id] = task = replace(task, has_pod=True)
    effects: list[do.Effect] = []
    for _ in Stage:
        stage = task.stage
        for sign in _signs(state, task, now):
            effects += apply(state, task, sign, now)
            task = state.tasks[task.task_id]
            if task.stage is not stage:
                break
        else:
            break
    return effects


def apply(state: State, task: Task, sign: Sign, now: float) -> list[do.Effect]:
    message = _words(state, task, sign)
    task, report = moved(task, sign, now)
    state.tasks[task.task_id] = task
    if report is None:
        return []
    return [update(state, task, report, message, "", now)]


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


def update(state: State, task: Task, report: TaskState, message: str, reason: str, now: float) -> do.SendUpdate:
    digest = hashlib.sha256(state.seed + f"/{task.task_id}/{task.updates_made}".encode()).digest()
    update_id = UUID(bytes=digest[:16], version=4).bytes
    update = do.SendUpdate(task.task_id, report, update_id, message, reason, now)
    state.updates.append(update)
    return update
