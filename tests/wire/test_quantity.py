"""Quantities: every notation, exactly, against fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire.quantity import (
    count_up,
    milli_mib_up,
    milli_up,
    nanos,
)

FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
    "e3": Fraction(1000),
    "E3": Fraction(1000),
    "e+2": Fraction(100),
    "E-2": Fraction(1, 100),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Fraction(0)),
        ("-0", Fraction(0)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("+5", Fraction(5)),
        ("1500m", Fraction(3, 2)),
        ("2e9", Fraction(2 * 10**9)),
        ("1E3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1Gi", Fraction(2**30)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("128974848", Fraction(128974848)),
        ("100u", Fraction(1, 10**4)),
        ("5n", Fraction(5, 10**9)),
        ("0.1n", Fraction(1, 10**9)),  # nothing finer is kept, and a little is never nothing
        ("1e-12", Fraction(1, 10**9)),
    ],
)
def test_each_notation(text: str, value: Fraction) -> None:
    assert nanos(text) == value * 10**9


@given(
    whole=st.integers(0, 10**15),
    fraction=st.text("0123456789", max_size=12),
    suffix=st.sampled_from(sorted(FACTORS)),
)
def test_agrees_with_fractions(whole: int, fraction: str, suffix: str) -> None:
    text = f"{whole}.{fraction}{suffix}" if fraction else f"{whole}{suffix}"
    value = (Fraction(whole) + Fraction(int(fraction or "0"), 10 ** len(fraction))) * FACTORS[suffix]
    amount = nanos(text)
    assert amount == ceil(value * 10**9)
    exact = Fraction(amount, 10**9)
    assert milli_up(amount) == ceil(exact * 1000)
    assert milli_mib_up(amount) == ceil(exact * 1000 / 2**20)
    assert count_up(amount) == ceil(exact)


@given(st.integers(0, 10**18))
def test_whole_nanos_round_trip(amount: int) -> None:
    assert nanos(f"{amount}n") == amount


@pytest.mark.parametrize(
    "text",
    ["", ".", "m", "1x", "1 Gi", " 1", "1\n", "1gi", "1K", "0x10", "1e", "1e1.5", "1_000", "１", "1.2.3", "--1", "NaN"],
)
def test_no_quantity_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ProtocolError, match="is not a quantity: write it like 500m") as caught:
        nanos(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-1", "'-1' is negative"),
        ("1e999999999", "exponent beyond 30"),
        ("1e-31", "exponent beyond 30"),
        ("1" * 65, "is not a quantity"),
    ],
)
def test_amounts_beyond_measure_are_refused(text: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        nanos(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert nanos(text) >= 0
    except ProtocolError as error:
        assert str(error)
