"""The table of a task's life: every stage × every sign."""

from __future__ import annotations

from itertools import product

import pytest

from kmsched.core.events import TaskState
from kmsched.executor.tasks import TABLE, Sign, Stage, Task, moved

F, K, X = TaskState.FAILED, TaskState.KILLED, TaskState.FINISHED
#: what each stage reports for each sign; "-": stays and says nothing
EXPECTED: dict[Sign, dict[Stage, TaskState | None]] = {
    sign: dict(zip(Stage, row, strict=True))
    for sign, row in {
        #                       WAITING  STARTING  RUNNING  ENDED
        Sign.KUBELET_REFUSED: (F, F, F, None),
        Sign.NODE_USABLE: (TaskState.STARTING, None, None, None),
        Sign.POD_RUNNING: (None, TaskState.RUNNING, None, None),
        Sign.POD_SUCCEEDED: (X, X, X, None),
        Sign.POD_FAILED: (F, F, F, None),
        Sign.POD_GONE: (K, K, K, None),
        Sign.POD_ABSENT: (F, F, None, None),
        Sign.GRACE_PASSED: (F, F, None, None),
        Sign.KILL_RESERVATION: (K, K, K, None),
    }.items()
}
STAGE_OF = {
    TaskState.STARTING: Stage.STARTING,
    TaskState.RUNNING: Stage.RUNNING,
    F: Stage.ENDED,
    K: Stage.ENDED,
    X: Stage.ENDED,
}


def test_the_table_has_every_pair() -> None:
    assert set(TABLE) == set(product(Stage, Sign))


@pytest.mark.parametrize(("stage", "sign"), list(product(Stage, Sign)))
def test_each_pair(stage: Stage, sign: Sign) -> None:
    task = Task("uid.1.1", "bind", "ns/p", "uid", stage, since_s=1.0)
    after, report = moved(task, sign, 5.0)
    expected = EXPECTED[sign][stage]
    assert report is expected
    if expected is None:
        assert after is task
    else:
        assert (after.stage, after.since_s, after.updates_made) == (STAGE_OF[expected], 5.0, 1)


def test_an_ended_task_never_moves_and_no_stage_is_left_twice() -> None:
    order = list(Stage)
    for (stage, _), move in TABLE.items():
        assert move.stage is stage or order.index(move.stage) > order.index(stage)
