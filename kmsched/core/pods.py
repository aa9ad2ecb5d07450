"""Carries out the table of `core.tasks` on one pod: follows the row, then does what its actions say.

Knows deadlines, held acknowledgements and the effects that belong to one pod.  Which trigger an event is for which
pod is decided in `core.step`; where a pod goes, in `core.cycle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kmsched.core.annotations import binding_annotations, port_annotations
from kmsched.core.effects import AcknowledgeUpdate, AdoptPod, BindPod
from kmsched.core.resources import ZERO
from kmsched.core.state import GONE, PodRecord, State
from kmsched.core.tasks import Action, PodState, Trigger, follow

#: an executor that reported an end is believed for so long before its pod counts as orphaned
ENDED_PATIENCE_S = 10.0
#: an executor sees for itself that a pod is gone, and ends its task; after so long it is told to
KILL_LATER_S = 15.0
#: pause before a Binding or patch whose outcome is not known is sent again
CALL_RETRY_S = 1.0
#: share of the launch timeout after which a silent launch is asked for
ASK_SHARE = 0.25

_LIVE = frozenset(
    {
        PodState.LAUNCHING,
        PodState.BINDING,
        PodState.BOUND,
        PodState.RUNNING,
        PodState.CHECKING,
        PodState.UNREACHABLE,
        PodState.ADOPTING,
        PodState.DONE,
    }
)


def apply(state: State, record: PodRecord, trigger: Trigger, now: float, why: str) -> None:
    """Take the pod through one transition. Raises `UnknownTransition` and has changed nothing then."""
    after, actions = follow(record.state, trigger)
    before = record.state
    if after is not before:
        record.state = after
        record.due_at = record.silent_at = None
        record.remember(now, why)
        if before is PodState.PENDING:
            state.queue.remove(record.pod.uid)
        if after is PodState.ORPHANED:
            state.orphans.add(record.pod.uid)
        else:
            state.orphans.discard(record.pod.uid)
        if after is PodState.UNREACHABLE:
            state.unreachable.add(record.pod.uid)
        else:
            state.unreachable.discard(record.pod.uid)
    for action in actions:
        _ACTIONS[action](state, record, now, why)
    if after not in _LIVE:
        _drop_task(state, record)
    if after is PodState.PENDING and not record.pod.is_bound:
        record.node_name = ""
    state.recount(record)
    if after is PodState.GONE:
        _forget(state, record)
    elif trigger in (Trigger.BOUND, Trigger.PATCHED) and record.is_running and after is PodState.BOUND:
        apply(state, record, Trigger.RUNNING, now, "its task runs already")


def _drop_task(state: State, record: PodRecord) -> None:
    state.asking.answered(record.task_id)
    record.task_id = record.agent_id = record.executor_id = ""
    record.has_started = record.is_running = False
    record.attempts = 0
    record.offer_ids = ()
    record.mapped_ports = ()
    record.promised = ZERO


def _forget(state: State, record: PodRecord) -> None:
    uid = record.pod.uid
    state.pods.pop(uid, None)
    state.gone[uid] = None
    if len(state.gone) > GONE:
        state.gone.popitem(last=False)
    if state.uid_of.get(record.pod.key) == uid:
        del state.uid_of[record.pod.key]
    state.queue.remove(uid)


def give_task(state: State, record: PodRecord, task_id: str, agent_id: str, node_name: str) -> None:
    """From now on `task_id` is the pod's current task."""
    if record.task_id:
        _drop_task(state, record)
    record.task_id, record.agent_id = task_id, agent_id
    if node_name:
        record.node_name = node_name


# --- actions


def _bind(state: State, record: PodRecord, now: float, why: str) -> None:
    record.attempts += 1
    record.due_at = None
    pod = record.pod
    state.emit(
        BindPod(
            key=pod.key,
            uid=pod.uid,
            resource_version=pod.resource_version,
            node_name=record.node_name,
            task_id=record.task_id,
            annotations=_annotations(state, record),
            cause="task started",
            reason=why,
        )
    )


def _patch(state: State, record: PodRecord, now: float, why: str) -> None:
    pod = record.pod
    # it was heard of: from here on a kill could hit the task that the pod names, if the patch was made after all
    record.due_at = record.silent_at = None
    if pod.task_id == record.task_id:
        apply(state, record, Trigger.PATCHED, now, "its annotation names the task already")
        return
    record.attempts += 1
    state.emit(
        AdoptPod(
            key=pod.key,
            uid=pod.uid,
            resource_version=pod.resource_version,
            old_task_id=pod.task_id,
            task_id=record.task_id,
            annotations=_annotations(state, record),
            cause="adoption",
            reason=why,
        )
    )


def _annotations(state: State, record: PodRecord) -> tuple[tuple[str, str], ...]:
    mapped = port_annotations(record.pod.wishes.open_ports, record.mapped_ports)
    return mapped + binding_annotations(
        hostname=record.node_name,
        task_id=record.task_id,
        agent_id=record.agent_id,
        offer_ids=record.offer_ids,
        executor_id=record.executor_id or state.settings.executor_id,
    )


def _acknowledge(state: State, record: PodRecord, now: float, why: str) -> None:
    for held in record.held:
        state.emit(AcknowledgeUpdate(held.agent_id, held.task_id, held.update_id, cause=record.pod.key, reason=why))
    record.held.clear()


def _queue(state: State, record: PodRecord, now: float, why: str) -> None:
    settings = state.settings
    record.backoff_s = min(max(settings.backoff_first_s, 2 * record.backoff_s), settings.backoff_max_s)
    record.waiting_since = now
    state.queue.put(record.pod, now, record.backoff_s)


def _adopt(state: State, record: PodRecord, now: float, why: str) -> None:
    state.wants_cycle = state.has_fresh_work = True


def _claim(state: State, record: PodRecord, now: float, why: str) -> None:
    give_task(state, record, record.pod.task_id, record.pod.agent_id, record.pod.node_name)
    record.promised = record.pod.requests
    state.killing.spare(record.task_id)


def _ask(state: State, record: PodRecord, now: float, why: str) -> None:
    state.asking.add(record.task_id, record.agent_id, now)


def _ask_on(state: State, record: PodRecord, now: float, why: str) -> None:
    state.asking.keep(record.task_id, record.agent_id, now)


def _wait(state: State, record: PodRecord, now: float, why: str) -> None:
    if record.state is PodState.ENDED:
        state.set_due(record, now + ENDED_PATIENCE_S)
    elif record.state is PodState.BINDING or record.has_started:
        state.set_due(record, now + CALL_RETRY_S)
    else:
        timeout_s = state.settings.launch_timeout_s
        state.asking.add(record.task_id, record.agent_id, now + timeout_s * ASK_SHARE)
        state.set_silent(record, now + timeout_s)


def _release(state: State, record: PodRecord, now: float, why: str) -> None:
    _drop_task(state, record)


def _kill(state: State, record: PodRecord, now: float, why: str) -> None:
    if record.task_id:
        state.killing.add(record.task_id, record.agent_id, why, now)


def _kill_later(state: State, record: PodRecord, now: float, why: str) -> None:
    if record.task_id:
        state.killing.add(record.task_id, record.agent_id, why, now + KILL_LATER_S)


_ACTIONS: Mapping[Action, Callable[[State, PodRecord, float, str], None]] = MappingProxyType(
    {
        Action.BIND: _bind,
        Action.PATCH: _patch,
        Action.ACK: _acknowledge,
        Action.QUEUE: _queue,
        Action.ADOPT: _adopt,
        Action.CLAIM: _claim,
        Action.ASK: _ask,
        Action.ASK_ON: _ask_on,
        Action.WAIT: _wait,
        Action.RELEASE: _release,
        Action.KILL: _kill,
        Action.KILL_LATER: _kill_later,
    }
)
