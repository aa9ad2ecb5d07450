"""What is due when: the earliest first, each once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.timers import Timers


def test_nothing_is_due_before_its_moment_and_all_of_a_moment_are_due_in_their_order() -> None:
    timers = Timers()
    for at, uid in ((2.0, "late"), (1.0, "b"), (1.0, "a")):
        timers.add(at, uid)
    assert list(timers.due(0.9)) == []
    assert list(timers.due(1.0)) == ["b", "a"]
    assert list(timers.due(1.0)) == []
    assert list(timers.due(9.0)) == ["late"]
    assert timers == Timers()


def test_what_is_put_off_while_it_is_being_handled_is_due_again() -> None:
    timers = Timers()
    timers.add(1.0, "a")
    seen = []
    for uid in timers.due(2.0):
        seen.append(uid)
        if len(seen) < 3:
            timers.add(1.0, uid)
    assert seen == ["a", "a", "a"]


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.5]), st.sampled_from("abc"))), st.sampled_from([0.0, 2.0, 4.0]))
def test_those_that_are_due_are_those_of_earlier_moments(added: list[tuple[float, str]], now: float) -> None:
    timers = Timers()
    for at, uid in added:
        timers.add(at, uid)
    assert list(timers.due(now)) == [uid for at, uid in sorted(added, key=lambda one: one[0]) if at <= now]
