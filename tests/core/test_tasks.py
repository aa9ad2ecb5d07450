"""Every state × every trigger: it moves the pod as it is written here, changes nothing, or is a defect and raises."""

from __future__ import annotations

from itertools import product

import pytest

from kmsched.core.pods import apply
from kmsched.core.state import PodRecord, State
from kmsched.core.tasks import STAYS, TABLE, Action, PodState, Trigger, UnknownTransition, follow
from tests.core.values import SETTINGS, pod

#: state, trigger -> state: actions
EXPECTED = """
pending     LAUNCHED     launching: wait
pending     STAGING      launching: wait
pending     STARTING     binding: bind
pending     RUNNING      binding: bind
pending     CLAIMED      checking: ack kill claim ask
pending     TAKEN        counted: ack kill
pending     POD_ENDED    done: ack kill
pending     POD_GONE     gone: ack kill
launching   STARTING     binding: bind
launching   RUNNING      binding: bind
launching   ENDED        pending: queue
launching   LOST         pending: queue
launching   UNREACHABLE  pending: kill queue
launching   SILENT       pending: kill queue
launching   CROWDED      pending: kill queue
launching   BOUND        bound:
launching   CLAIMED      checking: ack kill claim ask
launching   TAKEN        counted: ack kill
launching   POD_ENDED    done: ack kill
launching   POD_GONE     gone: ack kill
binding     BOUND        bound: ack
binding     BIND_STALE   binding: ack bind
binding     BIND_REFUSED pending: ack kill queue
binding     BIND_FAILED  binding: ack wait
binding     DUE          binding: bind
binding     ENDED        pending: ack queue
binding     LOST         pending: ack queue
binding     CLAIMED      checking: ack kill claim ask
binding     TAKEN        counted: ack kill
binding     POD_ENDED    done: ack kill
binding     POD_GONE     gone: ack kill
bound       STAGING      bound:
bound       STARTING     bound:
bound       RUNNING      running:
bound       ENDED        ended: wait
bound       LOST         orphaned: adopt
bound       UNREACHABLE  unreachable: ask_on
bound       CLAIMED      checking: ack kill claim ask
bound       POD_ENDED    done: ack
bound       POD_GONE     gone: ack kill_later
running     STAGING      running:
running     STARTING     running:
running     RUNNING      running:
running     ENDED        ended: wait
running     LOST         orphaned: adopt
running     UNREACHABLE  unreachable: ask_on
running     CLAIMED      checking: ack kill claim ask
running     POD_ENDED    done: ack
running     POD_GONE     gone: ack kill_later
checking    STAGING      bound:
checking    STARTING     bound:
checking    RUNNING      running:
checking    ENDED        ended: wait
checking    LOST         orphaned: adopt
checking    UNREACHABLE  unreachable: ask_on
checking    CLAIMED      checking: ack kill claim ask
checking    POD_ENDED    done: ack
checking    POD_GONE     gone: ack kill_later
unreachable STAGING      bound:
unreachable STARTING     bound:
unreachable RUNNING      running:
unreachable ENDED        ended: wait
unreachable LOST         orphaned: adopt
unreachable UNREACHABLE  unreachable: ask_on
unreachable CLAIMED      checking: ack kill claim ask
unreachable POD_ENDED    done: ack
unreachable POD_GONE     gone: ack kill_later
orphaned    LAUNCHED     adopting: wait
orphaned    STAGING      adopting: wait
orphaned    STARTING     adopting: patch
orphaned    RUNNING      adopting: patch
orphaned    CLAIMED      checking: claim ask
orphaned    POD_ENDED    done:
orphaned    POD_GONE     gone:
adopting    STARTING     adopting: patch
adopting    RUNNING      adopting: patch
adopting    PATCHED      bound: ack
adopting    PATCH_STALE  adopting: ack patch
adopting    PATCH_FAILED adopting: ack wait
adopting    DUE          adopting: patch
adopting    ENDED        ended: ack wait
adopting    LOST         orphaned: ack adopt
adopting    SILENT       orphaned: kill adopt
adopting    CLAIMED      checking: ack kill claim ask
adopting    POD_ENDED    done: ack
adopting    POD_GONE     gone: ack kill_later
ended       DUE          orphaned: adopt
ended       CLAIMED      checking: claim ask
ended       POD_ENDED    done:
ended       POD_GONE     gone:
done        ENDED        done: release
done        LOST         done: release
done        POD_GONE     gone: kill_later
counted     CLAIMED      checking: claim ask
counted     POD_GONE     gone:
"""

#: late answers and repeated news: state -> triggers that change nothing
_LATE = "BIND_STALE BIND_REFUSED BIND_FAILED PATCHED PATCH_STALE PATCH_FAILED DUE SILENT"
EXPECTED_TO_STAY = {
    "pending": f"{_LATE} ENDED LOST UNREACHABLE",
    "launching": "BIND_STALE BIND_REFUSED BIND_FAILED PATCHED PATCH_STALE PATCH_FAILED DUE STAGING",
    "binding": "PATCHED PATCH_STALE PATCH_FAILED SILENT STAGING STARTING RUNNING UNREACHABLE",
    "bound": f"{_LATE} BOUND",
    "running": f"{_LATE} BOUND",
    "checking": f"{_LATE} BOUND",
    "unreachable": f"{_LATE} BOUND",
    "orphaned": f"{_LATE} BOUND ENDED LOST UNREACHABLE",
    "adopting": "BIND_STALE BIND_REFUSED BIND_FAILED BOUND STAGING UNREACHABLE",
    "ended": "BIND_STALE BIND_REFUSED BIND_FAILED PATCHED PATCH_STALE PATCH_FAILED SILENT BOUND"
    " STAGING STARTING RUNNING ENDED LOST UNREACHABLE",
    "done": f"{_LATE} BOUND CLAIMED POD_ENDED STAGING STARTING RUNNING UNREACHABLE",
    "counted": f"{_LATE} TAKEN POD_ENDED STAGING STARTING RUNNING ENDED LOST UNREACHABLE",
    "gone": "",
}

#: what can only be a defect: a pod that has a task or a node is launched or taken, one that has none is bound, ...
EXPECTED_TO_RAISE = {
    "pending": "BOUND CROWDED",
    "launching": "LAUNCHED",
    "binding": "LAUNCHED CROWDED",
    "bound": "LAUNCHED TAKEN CROWDED",
    "running": "LAUNCHED TAKEN CROWDED",
    "checking": "LAUNCHED TAKEN CROWDED",
    "unreachable": "LAUNCHED TAKEN CROWDED",
    "orphaned": "TAKEN CROWDED",
    "adopting": "LAUNCHED TAKEN CROWDED",
    "ended": "LAUNCHED TAKEN CROWDED",
    "done": "LAUNCHED TAKEN CROWDED",
    "counted": "LAUNCHED BOUND CROWDED",
    "gone": " ".join(trigger.name for trigger in Trigger),
}

Row = tuple[PodState, tuple[Action, ...]]


def _expected_rows() -> dict[tuple[PodState, Trigger], Row]:
    rows: dict[tuple[PodState, Trigger], Row] = {}
    for line in EXPECTED.strip().splitlines():
        before, _, moves = line.partition(":")
        state, trigger, after = before.split()
        actions = tuple(Action[word.upper()] for word in moves.split())
        rows[PodState(state), Trigger[trigger]] = (PodState(after), actions)
    return rows


def _expected_pairs(words: dict[str, str]) -> set[tuple[PodState, Trigger]]:
    return {(PodState(state), Trigger[name]) for state, names in words.items() for name in names.split()}


def test_the_table_is_what_is_written_here() -> None:
    table = {(state, trigger): row for state, rows in TABLE.items() for trigger, row in rows.items()}
    assert table == _expected_rows()


def test_what_stays_is_what_is_written_here() -> None:
    stays = {(state, trigger) for state, triggers in STAYS.items() for trigger in triggers}
    assert stays == _expected_pairs(EXPECTED_TO_STAY)


def test_every_pair_is_written_here_once() -> None:
    moving, staying, raising = (
        set(_expected_rows()),
        _expected_pairs(EXPECTED_TO_STAY),
        _expected_pairs(EXPECTED_TO_RAISE),
    )
    assert moving | staying | raising == set(product(PodState, Trigger))
    assert not (moving & staying or moving & raising or staying & raising)


@pytest.mark.parametrize(("state", "trigger"), sorted(product(PodState, Trigger), key=str))
def test_each_pair_follows_stays_or_raises(state: PodState, trigger: Trigger) -> None:
    if (state, trigger) in _expected_pairs(EXPECTED_TO_RAISE):
        with pytest.raises(UnknownTransition, match=f"a pod that is {state.value} cannot have: .*{trigger.name}"):
            follow(state, trigger)
    else:
        assert follow(state, trigger) == _expected_rows().get((state, trigger), (state, ()))


@pytest.mark.parametrize(("state", "trigger"), sorted(_expected_pairs(EXPECTED_TO_RAISE), key=str))
def test_a_pair_that_raises_has_changed_nothing(state: PodState, trigger: Trigger) -> None:
    def world() -> tuple[State, PodRecord]:
        known = State(SETTINGS, term=1)
        record = PodRecord(pod=pod(), state=state, task_id="u1.1.1", agent_id="A1", node_name="a1", due_at=5.0)
        known.pods["u1"] = record
        known.recount(record)
        return known, record

    known, record = world()
    with pytest.raises(UnknownTransition):
        apply(known, record, trigger, 1.0, "for no reason")
    assert (known, record) == world()
