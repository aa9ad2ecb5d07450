"""What a status update of Mesos means: which pod it is about, what trigger it is, and when it is acknowledged.

No state of a task proves that containers are dead (protocol rule 1): only the executor's own word ends a pod's task
as an end; everything else that is terminal is a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import astuple

from kmsched.core.agent_filters import open_ports
from kmsched.core.effects import AcknowledgeUpdate, DeclineOffers, ReportPod
from kmsched.core.events import TaskState, TaskUpdated
from kmsched.core.offers import Fate, LetGo
from kmsched.core.pods import apply, give_task
from kmsched.core.reconcile import SENTINEL_UID, settle
from kmsched.core.state import HeldUpdate, PodRecord, State
from kmsched.core.taskid import parse_task_id
from kmsched.core.tasks import PodState, Trigger

TRIGGERS: Mapping[TaskState, Trigger | None] = MappingProxyType(
    {
        TaskState.STAGING: Trigger.STAGING,
        TaskState.STARTING: Trigger.STARTING,
        TaskState.RUNNING: Trigger.RUNNING,
        TaskState.KILLING: None,
        TaskState.FINISHED: Trigger.ENDED,
        TaskState.KILLED: Trigger.ENDED,
        TaskState.FAILED: Trigger.LOST,  # but for the executor's own word
        TaskState.ERROR: Trigger.LOST,
        TaskState.LOST: Trigger.LOST,
        TaskState.DROPPED: Trigger.LOST,
        TaskState.GONE: Trigger.LOST,
        TaskState.GONE_BY_OPERATOR: Trigger.LOST,
        TaskState.UNKNOWN: Trigger.LOST,
        TaskState.UNREACHABLE: Trigger.UNREACHABLE,
    }
)
TERMINAL = frozenset(s for s, t in TRIGGERS.items() if t in (Trigger.ENDED, Trigger.LOST))
EXECUTOR_ENDED = frozenset({"REASON_EXECUTOR_TERMINATED", "REASON_EXECUTOR_UNREGISTERED"})
#: before a task that no pod needs is killed: the watch of pods, or a predecessor's Binding, may lag behind Mesos
STRAY_PATIENCE_S = 5.0
#: before the task of a waiting pod, on an agent that no offer has named yet, is asked for again
ASK_STRAY_S = 1.0
#: updates that wait: the Binding or the patch that they cause must have been decided first
_WAITS = frozenset({PodState.BINDING, PodState.ADOPTING})
#: whether the pod names its own task is not known yet
_UNDECIDED = frozenset({PodState.CHECKING, PodState.LAUNCHING, PodState.BINDING, PodState.ADOPTING})
_NEWS = frozenset({Trigger.STARTING, Trigger.RUNNING})
#: who tells that an agent could not do it; what the master says is about offers and connections
_OF_THE_AGENT = frozenset({"SOURCE_AGENT", "SOURCE_EXECUTOR"})


def task_updated(state: State, event: TaskUpdated, now: float) -> None:
    task = parse_task_id(event.task_id)
    if task is not None and task.pod_uid == SENTINEL_UID:
        if event.task_id == state.reconciliation.sentinel:
            settle(state, now)
        return
    if event.state is not TaskState.UNREACHABLE:
        state.asking.answered(event.task_id)
    if event.state in TERMINAL:
        state.killing.ended(event.task_id)
    elif event.state is not TaskState.UNREACHABLE:
        state.executors.seen(event.agent_id, event.executor_id, now)
    if event.reason in EXECUTOR_ENDED:
        executor_ended(state, event.agent_id, event.executor_id, now)
    record = state.pods.get(task.pod_uid) if task is not None else None
    if record is not None and _claims(state, record, event):
        give_task(state, record, event.task_id, event.agent_id, state.node_of_agent(event.agent_id))
        record.promised = record.pod.requests
    if record is not None and record.task_id == event.task_id:
        _current_task(state, record, event, now)
        return
    if event.state not in TERMINAL:
        _stray(state, record, event, now)
    _acknowledge(state, event, f"{event.state.value} of a task that is not current")


def _claims(state: State, record: PodRecord, event: TaskUpdated) -> bool:
    """A task of this pod that a predecessor launched, or that came back: taken, if the pod has no other."""
    if event.state in TERMINAL or event.state in (TaskState.UNREACHABLE, TaskState.KILLING):
        return False
    if record.task_id or event.task_id in state.killing.victims:
        return False
    if not record.pod.is_bound and open_ports(record.pod, state.settings):
        return False  # only who launched it knows which host ports it has
    if record.pod.task_id == event.task_id:
        return record.state in (PodState.ORPHANED, PodState.DONE)
    node_name = _node_of(state, record, event)
    if record.state is PodState.PENDING:
        return not (record.pod.is_gated or record.pod.is_terminating) and bool(node_name)
    return record.state is PodState.ORPHANED and node_name == record.pod.node_name


def _stray(state: State, record: PodRecord | None, event: TaskUpdated, now: float) -> None:
    """A task that no pod needs is killed, but not at once: what makes it needed may be on its way.

    One that its pod's annotation names is never killed while the pod is there: it lasts as long as the pod does.
    """
    if record is None:
        whose = "no pod"
    elif record.pod.task_id == event.task_id:
        return
    elif _may_be_claimed(state, record, event):
        state.asking.add(event.task_id, event.agent_id, now + ASK_STRAY_S)
        return
    else:
        whose = f"no task that {record.pod.key} needs"
    state.killing.add(event.task_id, event.agent_id, f"{event.task_id} is the task of {whose}", now + STRAY_PATIENCE_S)


def _may_be_claimed(state: State, record: PodRecord, event: TaskUpdated) -> bool:
    """May this turn out to be the task that a predecessor launched for the pod?

    Until the pod is known to name its own task, a predecessor's Binding or patch to this one may have been made: where
    our watch lags, a kill would be of what the pod needs.  And nothing may have told yet which Node the agent is.
    """
    if event.task_id in state.killing.victims:
        return False
    if record.state in _UNDECIDED:
        return True
    waits = record.state in (PodState.PENDING, PodState.ORPHANED) and not record.task_id
    return waits and not _node_of(state, record, event)


def _node_of(state: State, record: PodRecord, event: TaskUpdated) -> str:
    """The node of the agent that the update is about; a bound pod names the agent of its node itself."""
    if event.agent_id and event.agent_id == record.pod.agent_id:
        return record.pod.node_name
    return state.node_of_agent(event.agent_id)


def _current_task(state: State, record: PodRecord, event: TaskUpdated, now: float) -> None:
    trigger = TRIGGERS[event.state]
    if event.state is TaskState.FAILED and event.source == "SOURCE_EXECUTOR":
        trigger = Trigger.ENDED
    why = " ".join(w for w in (event.state.value, event.source, event.reason, event.message) if w)
    if trigger in _NEWS:
        if event.agent_id:
            record.agent_id = event.agent_id
        record.executor_id = event.executor_id or record.executor_id
        record.is_running = record.is_running or event.state is TaskState.RUNNING
        if record.has_started and record.state is PodState.ADOPTING:
            trigger = Trigger.STAGING  # its patch is under way already
        record.has_started = True
        state.shaky.worked(record.node_name)
        if record.state is PodState.LAUNCHING and _is_crowded(state, record):
            trigger = Trigger.CROWDED
    if trigger in (Trigger.ENDED, Trigger.LOST) and record.state is PodState.LAUNCHING:
        # one that was killed is no fault: somebody wanted its end, as who drains the agent does
        if event.source in _OF_THE_AGENT and event.state is not TaskState.KILLED:
            state.shaky.failed(record.node_name, now)
        _report(state, record, event, f"the launch on {record.node_name} failed: {why}", why)
    elif trigger is Trigger.ENDED and record.state is PodState.ADOPTING:
        # the pod runs on meanwhile; but an executor that cannot work there is to be seen somewhere
        _report(state, record, event, f"the launch on {record.node_name} that was to take it over failed: {why}", why)
    if trigger is not None:
        apply(state, record, trigger, now, why)
    if trigger in (Trigger.STARTING, Trigger.RUNNING, Trigger.STAGING) and record.state in _WAITS:
        held = HeldUpdate(event.agent_id, event.task_id, event.update_id)
        if event.update_id and held not in record.held:
            record.held.append(held)
    else:
        _acknowledge(state, event, why)


def _report(state: State, record: PodRecord, event: TaskUpdated, message: str, why: str) -> None:
    pod, about = record.pod, f"{record.node_name} {event.state.value} {event.source} {event.reason}"
    state.emit(ReportPod(pod.key, pod.uid, "Warning", "FailedLaunch", message, cause="update", reason=why, about=about))


def _is_crowded(state: State, record: PodRecord) -> bool:
    """Would kubelet refuse it?  With what is counted on the node now, itself included."""
    node, used, wanted = state.nodes.get(record.node_name), state.usage.get(record.node_name), record.pod.counts
    if node is None or node.is_promised or used is None:
        return False
    kinds = zip(astuple(wanted), astuple(used), astuple(node.allocatable), strict=True)
    return any(asked > 0 and taken > there for asked, taken, there in kinds)


def executor_ended(state: State, agent_id: str, executor_id: str, now: float) -> None:
    """No launch for that executor until an offer lacks it: so its held offers, which name it, are given back."""
    state.executors.ended(agent_id, executor_id)
    state.registration.executor_left(agent_id, now)
    agent = state.offers.agents.get(agent_id)
    if agent is None or not executor_id:
        return
    if executor_id in agent.executor_ids and state.settings.flavour_of(executor_id) is None:
        # new pods may go there now
        state.has_fresh_work = True
    agent.ended_executor, agent.ended_at = executor_id, now
    why = f"{executor_id} on {agent.hostname} ended"
    ids = state.offers.take(agent_id, LetGo(now, Fate.DECLINED, why))
    if ids:
        state.emit(DeclineOffers(ids, 0.0, cause="executor ended", reason=why))


def _acknowledge(state: State, event: TaskUpdated, why: str) -> None:
    if event.update_id:
        state.emit(AcknowledgeUpdate(event.agent_id, event.task_id, event.update_id, cause="update", reason=why))
