"""The life of a pod as the scheduler sees it: one table, the only place where these states change.

A row says which state follows and what has to be done; `core.pods` does it.  Why a pod is in a state, which task it
has and when something is due are not known here.  That a task is being killed is a state of the task, not of its pod
(`core.killing`): a pod never waits for an agent that may never answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kmsched.core.symbol import Symbol


class PodState(Symbol):
    PENDING = "pending"  # unbound, no task
    LAUNCHING = "launching"  # ACCEPT sent, nothing has started
    BINDING = "binding"  # the executor waits for the pod; the Binding is on its way
    BOUND = "bound"  # bound, its task lives, not yet running
    RUNNING = "running"
    CHECKING = "checking"  # bound; whether the task that its annotation names lives is being asked
    UNREACHABLE = "unreachable"  # bound; Mesos has lost sight of the agent
    ORPHANED = "orphaned"  # bound, not ended, without a live task
    ADOPTING = "adopting"  # bound; a new task for it is on its way, or its annotation is being patched
    ENDED = "ended"  # the executor reported the end; the pod itself does not say so yet
    DONE = "done"  # the pod succeeded or failed
    COUNTED = "counted"  # not ours to schedule: it only takes room
    GONE = "gone"  # the pod does not exist any more


class Trigger(Symbol):
    LAUNCHED = "an ACCEPT for it was sent"
    STAGING = "its task is staging"
    STARTING = "its executor is ready for it"
    RUNNING = "its task runs"
    ENDED = "its executor reported the end"
    LOST = "its task is gone, which says nothing of containers"
    UNREACHABLE = "its agent is unreachable"
    SILENT = "nothing was heard of the launch in time"
    CROWDED = "its node has no room for it any more"
    DUE = "what was put off is due"
    BOUND = "it is bound, by its current task"
    BIND_STALE = "the Binding was refused, the pod has changed and still fits its task"
    BIND_REFUSED = "the Binding was refused for good"
    BIND_FAILED = "whether the Binding was made is not known"
    PATCHED = "its annotation names the current task"
    PATCH_STALE = "the patch was refused, the pod has changed"
    PATCH_FAILED = "whether the patch was made is not known"
    CLAIMED = "it is bound and names another task of ours"
    TAKEN = "somebody else bound it"
    POD_ENDED = "the pod succeeded or failed"
    POD_GONE = "the pod was deleted"


class Action(Symbol):
    BIND = "send the Binding"
    PATCH = "patch the annotation to the current task"
    ACK = "acknowledge the update that waited for this"
    QUEUE = "queue again, after a pause"
    ADOPT = "look for a place on its agent at once"
    CLAIM = "take the task that its annotation names for its current one"
    ASK = "reconcile its task explicitly, until answered"
    ASK_ON = "reconcile its task explicitly from time to time"
    WAIT = "look again in a while"
    RELEASE = "its task holds nothing any more"
    KILL = "kill its task now"
    KILL_LATER = "kill its task if it does not end by itself"


Row = tuple[PodState, tuple[Action, ...]]

_P, _T, _A = PodState, Trigger, Action

_ENDS_UNBOUND: dict[Trigger, Row] = {
    _T.CLAIMED: (_P.CHECKING, (_A.ACK, _A.KILL, _A.CLAIM, _A.ASK)),
    _T.TAKEN: (_P.COUNTED, (_A.ACK, _A.KILL)),
    _T.POD_ENDED: (_P.DONE, (_A.ACK, _A.KILL)),
    _T.POD_GONE: (_P.GONE, (_A.ACK, _A.KILL)),
}
_ENDS_BOUND: dict[Trigger, Row] = {
    _T.CLAIMED: (_P.CHECKING, (_A.ACK, _A.KILL, _A.CLAIM, _A.ASK)),
    _T.POD_ENDED: (_P.DONE, (_A.ACK,)),
    _T.POD_GONE: (_P.GONE, (_A.ACK, _A.KILL_LATER)),
}
_LIVES: dict[Trigger, Row] = {
    _T.STAGING: (_P.BOUND, ()),
    _T.STARTING: (_P.BOUND, ()),
    _T.RUNNING: (_P.RUNNING, ()),
    _T.ENDED: (_P.ENDED, (_A.WAIT,)),
    _T.LOST: (_P.ORPHANED, (_A.ADOPT,)),
    # when the agent comes back, nobody tells of a task that it has lost meanwhile
    _T.UNREACHABLE: (_P.UNREACHABLE, (_A.ASK_ON,)),
}

#: what is written here happens; what is in STAYS is ignored; every other pair is a defect and raises
TABLE: Mapping[PodState, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _P.PENDING: {
            _T.LAUNCHED: (_P.LAUNCHING, (_A.WAIT,)),
            # a predecessor's launch: the task id names this pod
            _T.STAGING: (_P.LAUNCHING, (_A.WAIT,)),
            _T.STARTING: (_P.BINDING, (_A.BIND,)),
            _T.RUNNING: (_P.BINDING, (_A.BIND,)),
            **_ENDS_UNBOUND,
        },
        _P.LAUNCHING: {
            _T.STARTING: (_P.BINDING, (_A.BIND,)),
            _T.RUNNING: (_P.BINDING, (_A.BIND,)),
            _T.ENDED: (_P.PENDING, (_A.QUEUE,)),
            _T.LOST: (_P.PENDING, (_A.QUEUE,)),
            _T.UNREACHABLE: (_P.PENDING, (_A.KILL, _A.QUEUE)),
            _T.SILENT: (_P.PENDING, (_A.KILL, _A.QUEUE)),
            # a Binding for a task that had ended was made after all, and took the room
            _T.CROWDED: (_P.PENDING, (_A.KILL, _A.QUEUE)),
            # a predecessor's Binding, for the task that was just learnt of
            _T.BOUND: (_P.BOUND, ()),
            **_ENDS_UNBOUND,
        },
        _P.BINDING: {
            _T.BOUND: (_P.BOUND, (_A.ACK,)),
            _T.BIND_STALE: (_P.BINDING, (_A.ACK, _A.BIND)),
            _T.BIND_REFUSED: (_P.PENDING, (_A.ACK, _A.KILL, _A.QUEUE)),
            _T.BIND_FAILED: (_P.BINDING, (_A.ACK, _A.WAIT)),
            _T.DUE: (_P.BINDING, (_A.BIND,)),
            # a Binding that is on its way may still be made: the watch tells, and the pod is checked then
            _T.ENDED: (_P.PENDING, (_A.ACK, _A.QUEUE)),
            _T.LOST: (_P.PENDING, (_A.ACK, _A.QUEUE)),
            **_ENDS_UNBOUND,
        },
        _P.BOUND: {**_LIVES, **_ENDS_BOUND},
        _P.RUNNING: {
            **_LIVES,
            **_ENDS_BOUND,
            # an answer to an old question must not take a step back
            _T.STAGING: (_P.RUNNING, ()),
            _T.STARTING: (_P.RUNNING, ()),
        },
        _P.CHECKING: {**_LIVES, **_ENDS_BOUND},
        _P.UNREACHABLE: {**_LIVES, **_ENDS_BOUND},
        _P.ORPHANED: {
            _T.LAUNCHED: (_P.ADOPTING, (_A.WAIT,)),
            # an older task of this pod turned out to live, or came back
            _T.STAGING: (_P.ADOPTING, (_A.WAIT,)),
            _T.STARTING: (_P.ADOPTING, (_A.PATCH,)),
            _T.RUNNING: (_P.ADOPTING, (_A.PATCH,)),
            _T.CLAIMED: (_P.CHECKING, (_A.CLAIM, _A.ASK)),
            _T.POD_ENDED: (_P.DONE, ()),
            _T.POD_GONE: (_P.GONE, ()),
        },
        _P.ADOPTING: {
            _T.STARTING: (_P.ADOPTING, (_A.PATCH,)),
            _T.RUNNING: (_P.ADOPTING, (_A.PATCH,)),
            _T.PATCHED: (_P.BOUND, (_A.ACK,)),
            _T.PATCH_STALE: (_P.ADOPTING, (_A.ACK, _A.PATCH)),
            _T.PATCH_FAILED: (_P.ADOPTING, (_A.ACK, _A.WAIT)),
            _T.DUE: (_P.ADOPTING, (_A.PATCH,)),
            _T.ENDED: (_P.ENDED, (_A.ACK, _A.WAIT)),
            _T.LOST: (_P.ORPHANED, (_A.ACK, _A.ADOPT)),
            _T.SILENT: (_P.ORPHANED, (_A.KILL, _A.ADOPT)),
            **_ENDS_BOUND,
        },
        _P.ENDED: {
            _T.DUE: (_P.ORPHANED, (_A.ADOPT,)),
            _T.CLAIMED: (_P.CHECKING, (_A.CLAIM, _A.ASK)),
            _T.POD_ENDED: (_P.DONE, ()),
            _T.POD_GONE: (_P.GONE, ()),
        },
        _P.DONE: {
            _T.ENDED: (_P.DONE, (_A.RELEASE,)),
            _T.LOST: (_P.DONE, (_A.RELEASE,)),
            _T.POD_GONE: (_P.GONE, (_A.KILL_LATER,)),
        },
        _P.COUNTED: {
            _T.CLAIMED: (_P.CHECKING, (_A.CLAIM, _A.ASK)),
            _T.POD_GONE: (_P.GONE, ()),
        },
    }
)

_NEWS = frozenset({_T.STAGING, _T.STARTING, _T.RUNNING, _T.ENDED, _T.LOST, _T.UNREACHABLE})
_LATE = frozenset(
    {_T.BIND_STALE, _T.BIND_REFUSED, _T.BIND_FAILED, _T.PATCHED, _T.PATCH_STALE, _T.PATCH_FAILED, _T.DUE, _T.SILENT}
)

#: pairs that happen in honest operation and change nothing: late answers, repeated news
STAYS: Mapping[PodState, frozenset[Trigger]] = MappingProxyType(
    {
        _P.PENDING: _LATE | {_T.ENDED, _T.LOST, _T.UNREACHABLE},
        _P.LAUNCHING: (_LATE | {_T.STAGING}) - {_T.SILENT},
        _P.BINDING: (_LATE | {_T.STAGING, _T.STARTING, _T.RUNNING, _T.UNREACHABLE})
        - {_T.BIND_STALE, _T.BIND_REFUSED, _T.BIND_FAILED, _T.DUE},
        _P.BOUND: _LATE | {_T.BOUND},
        _P.RUNNING: _LATE | {_T.BOUND},
        _P.CHECKING: _LATE | {_T.BOUND},
        _P.UNREACHABLE: _LATE | {_T.BOUND},
        _P.ORPHANED: _LATE | {_T.BOUND, _T.ENDED, _T.LOST, _T.UNREACHABLE},
        _P.ADOPTING: (_LATE | {_T.BOUND, _T.STAGING, _T.UNREACHABLE})
        - {_T.PATCHED, _T.PATCH_STALE, _T.PATCH_FAILED, _T.DUE, _T.SILENT},
        _P.ENDED: (_LATE | _NEWS | {_T.BOUND}) - {_T.DUE},
        _P.DONE: (_LATE | _NEWS | {_T.BOUND, _T.CLAIMED, _T.POD_ENDED}) - {_T.ENDED, _T.LOST},
        _P.COUNTED: _LATE | _NEWS | {_T.TAKEN, _T.POD_ENDED},
        _P.GONE: frozenset(),
    }
)


class UnknownTransition(Exception):
    """A pair that the table does not know: a defect of ours, never an operator's."""


def follow(state: PodState, trigger: Trigger) -> Row:
    """The row for this pair. Raises UnknownTransition; nothing has changed then."""
    row = TABLE.get(state, {}).get(trigger)
    if row is not None:
        return row
    if trigger in STAYS[state]:
        return state, ()
    raise UnknownTransition(f"a pod that is {state.value} cannot have: {trigger.value} ({trigger.name})")
