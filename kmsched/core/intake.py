"""What a pod or a Node, as the API server tells it, means for the pod table.

Decides whose a pod is: ours to place, ours and bound, or somebody else's and only counted.
"""

from __future__ import annotations

from kmsched.core.effects import ReportPod
from kmsched.core.model import Node, Pod
from kmsched.core.pods import apply
from kmsched.core.refusals import is_refused
from kmsched.core.state import PodRecord, State
from kmsched.core.taskid import parse_task_id
from kmsched.core.tasks import PodState, Trigger

_UNBOUND = frozenset({PodState.PENDING, PodState.LAUNCHING, PodState.BINDING})
_SETTLED = frozenset({PodState.DONE})


def pod_changed(state: State, pod: Pod, now: float) -> None:
    record = state.pods.get(pod.uid)
    if record is None:
        # a read that was answered before the deletion may be heard of after it
        if pod.uid not in state.gone:
            _pod_arrived(state, pod, now)
        return
    if record.pod is pod:
        return
    if is_newer(record.pod.resource_version, pod.resource_version):
        return  # a late answer must not undo what the watch told
    before, record.pod = record.pod, pod
    if pod.is_bound:
        record.node_name = pod.node_name
    _follow_change(state, record, before, now)
    if record.state is PodState.PENDING:
        state.queue.update(pod, now)
        state.wants_cycle = True
    state.recount(record)


def pod_gone(state: State, record: PodRecord, now: float) -> None:
    apply(state, record, Trigger.POD_GONE, now, "the pod was deleted")


def _pod_arrived(state: State, pod: Pod, now: float) -> None:
    old_uid = state.uid_of.get(pod.key)
    if old_uid is not None:
        if is_newer(state.pods[old_uid].pod.resource_version, pod.resource_version):
            return  # a read told of its successor before the watch told of this one
        pod_gone(state, state.pods[old_uid], now)
    record = PodRecord(pod=pod, state=_first_state(state, pod), node_name=pod.node_name, waiting_since=now)
    state.pods[pod.uid] = record
    state.uid_of[pod.key] = pod.uid
    record.remember(now, "seen")
    if record.state is PodState.PENDING:
        state.queue.put(pod, now)
        state.wants_cycle = state.has_fresh_work = True
    elif record.state is PodState.COUNTED and not pod.phase.is_terminal and is_ours(state, pod) and names_task(pod):
        apply(state, record, Trigger.CLAIMED, now, f"it names task {pod.task_id}")
    state.recount(record)


def _first_state(state: State, pod: Pod) -> PodState:
    if not is_ours(state, pod) or pod.is_bound:
        return PodState.DONE if pod.phase.is_terminal else PodState.COUNTED
    return PodState.DONE if pod.phase.is_terminal else PodState.PENDING


def is_ours(state: State, pod: Pod) -> bool:
    return pod.scheduler_name == state.settings.scheduler_name and not pod.is_static


def names_task(pod: Pod) -> bool:
    """Does its annotation name a task that was made for this very pod?"""
    task = parse_task_id(pod.task_id)
    return pod.is_bound and task is not None and task.pod_uid == pod.uid


def _follow_change(state: State, record: PodRecord, before: Pod, now: float) -> None:
    pod = record.pod
    if pod.phase.is_terminal and record.state is not PodState.DONE:
        if record.state is not PodState.COUNTED:
            if is_refused(pod):
                _refused(state, record, now)
            apply(state, record, Trigger.POD_ENDED, now, f"the pod is {pod.phase.value}")
        return
    if not pod.is_bound or record.state in _SETTLED:
        return
    named = names_task(pod)
    if record.state in _UNBOUND:
        if named and pod.task_id == record.task_id:
            apply(state, record, Trigger.BOUND, now, f"seen bound to {pod.node_name}")
        elif named:
            apply(state, record, Trigger.CLAIMED, now, f"seen bound by task {pod.task_id}")
        else:
            apply(state, record, Trigger.TAKEN, now, f"somebody else bound it to {pod.node_name}")
    elif record.state is PodState.ADOPTING and pod.task_id == record.task_id:
        if before.task_id != pod.task_id:
            apply(state, record, Trigger.PATCHED, now, "seen with the new task")
    elif named and pod.task_id not in (before.task_id, record.task_id) and is_ours(state, pod):
        apply(state, record, Trigger.CLAIMED, now, f"it names task {pod.task_id} now")


def _refused(state: State, record: PodRecord, now: float) -> None:
    pod = record.pod
    state.refusals.add(pod, now)
    node = state.nodes.get(pod.node_name)
    kubelet = "no Node" if node is None else f"{node.allocatable} less {state.usage.get(pod.node_name)}"
    words = f"kubelet of {pod.node_name} refused the pod ({pod.reason}); task: {record.promised}; kubelet: {kubelet}"
    about = f"{pod.node_name} {pod.reason}"
    state.emit(ReportPod(pod.key, pod.uid, "Warning", "Refused", words, cause="admission", reason=words, about=about))


def is_newer(version: str, than: str) -> bool:
    """Versions are numbers since Kubernetes 1.35; of others nothing is said."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)


def node_changed(state: State, node: Node) -> None:
    before = state.nodes.get(node.name)
    # always the newest version, which is no reason to try again
    state.nodes[node.name] = node
    if before is None:
        state.registration.asked_at.pop(node.name, None)
    if before != node:
        state.wants_cycle = state.queue.wake() or state.wants_cycle


def node_deleted(state: State, name: str) -> None:
    if state.nodes.pop(name, None) is not None:
        state.registration.asked_at.pop(name, None)
        state.wants_cycle = state.queue.wake() or state.wants_cycle
