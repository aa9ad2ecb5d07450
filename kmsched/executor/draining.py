"""An agent that its operator drains: which pods are deleted for it, with how much time, and when that is asked again.

Knows that a kill with a kill policy is the agent's own, sent while it is drained.  Which tasks end by that, and when,
is `executor.settling`'s: a task ends with its pod, as after any deletion.

No pod is deleted with grace 0: that would let the API server forget containers that still run.
"""

from __future__ import annotations

from dataclasses import replace

from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.state import Drain, State
from kmsched.executor.tasks import Task

LEAST_GRACE_S = 1
#: after a deletion that shows no effect; doubled each time
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
#: how long a drained executor waits for the pod of a Binding that was on its way
LINGER_S = 5.0


def drain(state: State, task: Task, grace_s: float, now: float) -> None:
    """Repeats change nothing; another grace counts at once."""
    known, whole_s = state.drains.get(task.task_id), max(LEAST_GRACE_S, int(grace_s))
    if known is None or known.grace_s != whole_s:
        state.drains[task.task_id] = Drain(task.pod_uid, whole_s, now)


def deletions(state: State, now: float) -> list[do.Effect]:
    """Of pods that name a task of which an end was asked for, and are not on their way to it in that time."""
    effects: list[do.Effect] = []
    for task_id, drain in state.drains.items():
        pod = state.pods.get(drain.pod_uid)
        if pod is None or pod.task_id != task_id or drain.due_s > now:
            continue
        grace_s = max(LEAST_GRACE_S, min(pod.grace_s, drain.grace_s))
        if not _lasts(pod, grace_s):
            continue
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(drain.asked, 10))
        state.drains[task_id] = replace(drain, due_s=now + pause_s, asked=drain.asked + 1)
        effects.append(do.DeletePod(pod.key, pod.uid, grace_s, f"its agent is drained, and {task_id} is to end"))
    return effects


def _lasts(pod: ev.PodSeen, grace_s: int) -> bool:
    """Without a deletion of ours, beyond that time?"""
    if pod.is_static or pod.phase.is_terminal:
        return False
    return not pod.is_terminating or pod.grace_s > grace_s
