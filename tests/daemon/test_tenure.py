"""How long nobody led, who followed whom, and how long each step of a takeover took."""

from __future__ import annotations

from kmsched.daemon.tenure import Tenure, Vacancy
from tests.clients.fakes import FakeClock


def test_time_without_a_leader_counts_from_the_first_look() -> None:
    clock = FakeClock()
    vacancy = Vacancy(clock)
    clock.now_s += 5
    assert (vacancy.total_s, vacancy.failovers) == (0.0, 0)
    vacancy.saw(None)
    clock.now_s += 2
    vacancy.saw(None)
    assert vacancy.total_s == 2
    clock.now_s += 1
    vacancy.saw("a")
    clock.now_s += 10
    assert (vacancy.total_s, vacancy.failovers) == (3.0, 0)


def test_another_leader_is_a_failover_and_the_same_one_again_is_none() -> None:
    clock = FakeClock()
    vacancy = Vacancy(clock)
    for leader in ("a", None, "a", "b", "", "b", None, "c"):
        vacancy.saw(leader)
        clock.now_s += 1
    assert (vacancy.total_s, vacancy.failovers) == (2.0, 2)


def test_steps_are_measured_once_a_term() -> None:
    clock = FakeClock()
    tenure = Tenure(clock)
    tenure.reached("subscribed")
    assert tenure.steps == {}
    clock.now_s += 1
    tenure.began(7)
    assert tenure.since_s == clock.wall()
    for pause_s, step in ((0.5, "subscribed"), (1, "reconciled"), (1, "subscribed"), (0.5, "first_accept")):
        clock.now_s += pause_s
        tenure.reached(step)
    assert tenure.steps == {"subscribed": 0.5, "reconciled": 1.5, "first_accept": 3.0}
