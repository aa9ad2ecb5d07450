"""What is asked of Mesos after a subscription, and when the answers are complete.

An implicit reconciliation is a snapshot without an end mark.  So after it comes an explicit one for a task that cannot
exist: its answer marks the end (protocol rule 16).  Known tasks are asked for one by one, by `core.asking`.
"""

from __future__ import annotations

from kmsched.core.effects import ReconcileTasks
from kmsched.core.state import Link, State
from kmsched.core.taskid import TaskId

SENTINEL_UID = "sentinel"
SENTINEL_AGENT = "sentinel"
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 15.0
#: a master that never answers must not leave the cluster without a scheduler
SETTLE_TIMEOUT_S = 60.0


def begin(state: State, now: float, why: str) -> None:
    """Ask for everything, hold offers until the snapshot has ended."""
    state.link = Link.RECONCILING
    state.reconciliation.began_at = now
    state.reconciliation.pause_s = FIRST_PAUSE_S
    _ask_for_known(state, now)
    _ask_all(state, now, why)


def tick(state: State, now: float) -> None:
    """Ask again while the snapshot has not ended; later, from time to time."""
    snapshot = state.reconciliation
    if state.link is Link.RECONCILING:
        if now - snapshot.began_at >= SETTLE_TIMEOUT_S:
            settle(state, now)
        elif now >= snapshot.again_at:
            _ask_all(state, now, "the snapshot has not ended")
    elif state.link is Link.ACTIVE and now >= snapshot.next_implicit_at:
        snapshot.next_implicit_at = now + state.settings.reconcile_interval_s
        # the one finds tasks that nobody needs, the other needed ones that are no more
        state.emit(ReconcileTasks((), cause="interval", reason="periodic implicit reconciliation"))
        _ask_for_known(state, now)


def settle(state: State, now: float) -> None:
    """The snapshot has ended: tasks that it did not name are asked for one by one, the others are known."""
    if state.link is Link.RECONCILING:
        state.link = Link.ACTIVE
        state.reconciliation.next_implicit_at = now + state.settings.reconcile_interval_s
        state.wants_cycle = True


def _ask_for_known(state: State, now: float) -> None:
    for record in state.pods.values():
        state.asking.add(record.task_id, record.agent_id, now)


def _ask_all(state: State, now: float, why: str) -> None:
    snapshot = state.reconciliation
    state.counter += 1
    snapshot.sentinel = str(TaskId(SENTINEL_UID, state.term, state.counter))
    snapshot.again_at = now + snapshot.pause_s
    snapshot.pause_s = min(2 * snapshot.pause_s, LONGEST_PAUSE_S)
    state.emit(ReconcileTasks((), cause="reconciliation", reason=f"{why}: every task"))
    state.emit(ReconcileTasks(((snapshot.sentinel, SENTINEL_AGENT),), cause="reconciliation", reason="end mark"))
