"""Ranges of ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.ports import Ports, holds, lowest, merged, of_numbers, without, words

NUMBERS = st.sets(st.integers(1, 60), max_size=30)


def numbers_of(ports: Ports) -> set[int]:
    return {number for first, last in ports for number in range(first, last + 1)}


@given(NUMBERS, NUMBERS, st.integers(1, 60))
def test_ranges_are_sets_of_numbers(some: set[int], taken: set[int], number: int) -> None:
    ports = of_numbers(some)
    assert numbers_of(ports) == some
    assert holds(ports, number) == (number in some)
    assert without(ports, taken) == of_numbers(some - taken)
    assert set(lowest(ports, 3, taken)) == set(sorted(some - taken)[:3])


def test_ranges_side_by_side_or_one_over_another_are_one() -> None:
    assert merged([(5, 9), (1, 2), (3, 3), (7, 12), (20, 19)]) == ((1, 3), (5, 12))


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((), "none"),
        (((31000, 32000),), "31000-32000"),
        (((80, 80), (443, 444)), "80, 443-444"),
        (tuple((n, n) for n in range(1, 13, 2)), "1, 3, 5, 7, 2 ranges more"),
    ],
)
def test_how_ranges_read(ports: Ports, said: str) -> None:
    assert words(ports) == said
