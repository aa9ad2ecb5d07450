"""The executor's decisions: `step(state, event, now) -> [Effect]`, a fold without I/O, clock or randomness.

Knows what each event changes (`executor.state`), and lets every task make its moves (`executor.settling`).  It does
not know how kubelet is configured or watched over (`executor.kubelet`), nor any protocol's spelling.

A task is a reservation for one pod.  The pod's annotation says which task is current: that one lasts as long as the
pod does, and a kill of another ends the reservation alone.  A pod is deleted only when an operator drains the agent
(`executor.draining`).
"""

from __future__ import annotations

from dataclasses import replace

from kmsched.core.events import TaskState
from kmsched.core.resources import Resources
from kmsched.errors import EXIT_CONFIG, EXIT_OK
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.draining import LINGER_S, deletions, drain
from kmsched.executor.settling import apply, is_current, settled, update
from kmsched.executor.state import State
from kmsched.executor.tasks import Sign, Stage, Task

#: A healthy kubelet without a Node object registers only when it is started again.
NODE_WAIT_S = 60.0
#: When kubelet is refused: how long to stay, so that launches on their way get the reason, not a crash.
REFUSED_LINGER_S = 30.0


def step(state: State, event: ev.Event, now: float) -> list[do.Effect]:
    """Fold one event into `state`; `now` is monotonic seconds. Nothing happens after an Exit."""
    if state.is_over:
        return []
    effects = _taken_in(state, event, now)
    if not state.is_over:
        for task in list(state.tasks.values()):
            effects += settled(state, task, now)
        effects += deletions(state, now)
        effects += _ended(state, now, isinstance(event, ev.Ticked))
    return effects


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
        case ev.SettingsReceived():
            return _on_settings(state, event)
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
    return [update(state, task, TaskState.FAILED, event.reason, "REASON_TASK_INVALID", now)]


def _on_kill(state: State, event: ev.KillRequested, now: float) -> list[do.Effect]:
    """Repeats are harmless; of an unknown task the agent itself tells the scheduler.

    A scheduler kills no task that its pod names, and gives no kill a policy.  So a kill of such a task without one was
    sent before the Binding, by one that is dead, say; and one with a policy is an operator's, who drains the agent.
    """
    task = state.tasks.get(event.task_id)
    if task is None:
        return []
    if event.grace_s is not None:
        drain(state, task, event.grace_s, now)
    if is_current(task, state.pods.get(task.pod_uid)):
        if event.grace_s is not None:
            return []  # its deletion ends the task
        why = f"pod {task.pod_key} is here and names this task, which ends with it"
        return [do.IgnoreKill(task.task_id, why)]
    return apply(state, task, Sign.KILL_RESERVATION, now)


def _on_settings(state: State, event: ev.SettingsReceived) -> list[do.Effect]:
    """An older scheduler's message may come late: it changes nothing, and is told what is in force."""
    effects: list[do.Effect] = []
    is_news = event.version > state.settings_version
    if is_news:
        state.settings_version = event.version
        if event.idle_timeout_s is not None:
            state.idle_timeout_s = event.idle_timeout_s
        if event.log_level:
            effects.append(do.SetLogLevel(event.log_level, f"settings {event.version} of the scheduler"))
    if is_news or event.wants_answer:
        words = f"idle timeout {state.idle_timeout_s:g} s" if is_news else f"{event.version} changes nothing"
        effects.append(do.ConfirmSettings(state.settings_version, words))
    return effects


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
    if (
        state.node is None
        and state.is_synced
        and not state.kubelet_trouble
        and now - state.healthy_since_s >= NODE_WAIT_S
    ):
        return _restart(state, f"it has been healthy for {NODE_WAIT_S:.0f} s, and there is no Node object")
    return []


def _refuse(state: State, reason: str, now: float) -> None:
    if not state.refused:
        state.refused, state.refused_s = reason, now
        state.kubelet_trouble = reason


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
    if is_tick and state.drains and idle_s >= LINGER_S:
        # the agent takes no task before it is rid of this executor, not even when it is reactivated
        return _exit(state, EXIT_OK, "the agent is drained: no task and no pod is left")
    if is_tick and state.idle_timeout_s and idle_s >= state.idle_timeout_s:
        return _exit(state, EXIT_OK, f"no task and no pod for {idle_s:.0f} s")
    return []


def _exit(state: State, code: int, reason: str) -> list[do.Effect]:
    state.is_over = True
    return [do.StopKubelet(reason), do.Exit(code, reason)]
