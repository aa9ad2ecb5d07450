"""Tasks that have to end: killed again and again until Mesos says so."""

from __future__ import annotations

from itertools import pairwise

from kmsched.core.effects import KillTask, ReconcileTasks
from kmsched.core.killing import BATCH, LONGEST_PAUSE_S, Killing


def kills(killing: Killing, now: float) -> list[str]:
    return [effect.task_id for effect in killing.due(now) if isinstance(effect, KillTask)]


def test_a_kill_comes_with_the_question_whether_it_worked() -> None:
    killing = Killing()
    killing.add("t", "A1", "the pod was deleted", 0.0)
    kill, question = killing.due(0.0)
    assert kill == KillTask("t", "A1", cause="killing", reason="the pod was deleted")
    assert question == ReconcileTasks((("t", "A1"),), cause="killing", reason="did the killed tasks end?")


def test_without_its_agent_a_task_is_killed_but_not_asked_for() -> None:
    killing = Killing()
    killing.add("t", "", "stray", 0.0)
    assert killing.due(0.0) == [KillTask("t", "", cause="killing", reason="stray")]


def test_pauses_grow_to_a_bound_and_never_end_by_themselves() -> None:
    killing = Killing()
    killing.add("t", "A1", "stray", 0.0)
    times = [now for now in range(300) if kills(killing, float(now))]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:5] == [2, 4, 8, 16, 30]
    assert set(pauses[5:]) == {LONGEST_PAUSE_S}


def test_the_end_ends_it() -> None:
    killing = Killing()
    killing.add("t", "A1", "stray", 0.0)
    assert (killing.ended("t"), killing.ended("t")) == (True, False)
    assert killing.due(99.0) == []


def test_the_earlier_time_counts_and_the_agent_is_learnt() -> None:
    killing = Killing()
    killing.add("t", "", "later", 15.0)
    killing.add("t", "A1", "now", 1.0)
    killing.add("t", "A1", "much later", 60.0)
    assert kills(killing, 0.5) == []
    assert [e.reason for e in killing.due(1.0) if isinstance(e, KillTask)] == ["later"]


def test_one_that_is_needed_after_all_is_spared() -> None:
    killing = Killing()
    killing.add("t", "A1", "stray", 5.0)
    killing.spare("t")
    assert kills(killing, 9.0) == []


def test_many_tasks_are_killed_a_batch_at_a_time_and_none_is_passed_over() -> None:
    killing = Killing()
    for number in range(2 * BATCH + 1):
        killing.add(f"t{number}", "A1", "stray", 0.0)
    batches = [kills(killing, 0.0) for _ in range(4)]
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1, 0]
    assert len({task_id for batch in batches for task_id in batch}) == 2 * BATCH + 1
