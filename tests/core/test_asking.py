"""Tasks whose state is asked for until something is heard of them."""

from __future__ import annotations

from kmsched.core.asking import BATCH, LONGEST_PAUSE_S, Asking
from kmsched.core.effects import ReconcileTasks


def asked(asking: Asking, now: float) -> list[str]:
    effects = [effect for effect in asking.due(now) if isinstance(effect, ReconcileTasks)]
    return [task_id for effect in effects for task_id, _ in effect.tasks]


def test_it_is_asked_again_with_growing_pauses_until_answered() -> None:
    asking = Asking()
    asking.add("t", "A1", 10.0)
    times = [now for now in range(200) if asked(asking, float(now))]
    assert times[:7] == [10, 11, 13, 17, 25, 41, 71]
    assert times[7] - times[6] == LONGEST_PAUSE_S
    asking.answered("t")
    assert asking.due(999.0) == []


def test_the_words_say_how_many() -> None:
    asking = Asking()
    asking.add("t", "A1", 0.0)
    asking.add("u", "A2", 0.0)
    (effect,) = asking.due(0.0)
    assert effect == ReconcileTasks((("t", "A1"), ("u", "A2")), cause="asking", reason="state of 2 tasks is not known")


def test_without_a_task_or_an_agent_nothing_is_asked() -> None:
    asking = Asking()
    asking.add("", "A1", 0.0)
    asking.add("t", "", 0.0)
    assert asking.due(1.0) == []


def test_one_call_is_bounded_and_the_rest_comes_next() -> None:
    asking = Asking()
    for number in range(BATCH + 3):
        asking.add(f"t{number}", "A1", 0.0)
    assert len(asked(asking, 0.0)) == BATCH
    assert asked(asking, 0.0) == [f"t{BATCH}", f"t{BATCH + 1}", f"t{BATCH + 2}"]
