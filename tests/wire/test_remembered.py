"""The same bytes are read once, as long as they are asked for, and what is held has a bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kmsched.wire.remembered import Remembered


def noting(reads: list[bytes]) -> Callable[[bytes], str]:
    def read(told: bytes) -> str:
        reads.append(told)
        return told.decode()

    return read


def test_the_same_bytes_are_read_once() -> None:
    reads: list[bytes] = []
    remembered = Remembered(noting(reads), count=4, longest=8)
    assert [remembered[b"a"], remembered[b"b"], remembered[b"a"]] == ["a", "b", "a"]
    assert reads == [b"a", b"b"]


def test_the_last_that_were_asked_for_are_known() -> None:
    reads: list[bytes] = []
    remembered = Remembered(noting(reads), count=4, longest=8)
    for number in range(100):
        assert remembered[b"%d" % number] == str(number)
        for back in range(min(number + 1, 4)):
            assert remembered[b"%d" % (number - back)] == str(number - back)
    assert len(reads) == 100


def test_what_is_asked_for_in_turn_is_known_whatever_else_is_asked_for_once() -> None:
    reads: list[bytes] = []
    remembered = Remembered(noting(reads), count=4, longest=8)
    for number in range(100):
        assert (remembered[b"often"], remembered[b"%d" % number]) == ("often", str(number))
    assert reads.count(b"often") == 1


def test_what_is_held_has_a_bound() -> None:
    reads: list[bytes] = []
    remembered = Remembered(noting(reads), count=4, longest=8)
    for number in range(100):
        assert remembered[b"%d" % number] == str(number)
    reads.clear()
    assert [remembered[b"%d" % number] for number in range(92)] == [str(number) for number in range(92)]
    assert len(reads) == 92
    assert len(remembered) <= 4


def test_long_bytes_are_read_each_time() -> None:
    reads: list[bytes] = []
    remembered = Remembered(noting(reads), count=4, longest=8)
    assert remembered[b"9 letters"] == remembered[b"9 letters"]
    assert remembered[b"8letters"] == remembered[b"8letters"]
    assert reads == [b"9 letters", b"9 letters", b"8letters"]


def test_an_error_is_not_remembered() -> None:
    def read(told: bytes) -> int:
        return int(told)

    remembered = Remembered(read, count=4, longest=8)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            remembered[b"x"]
    assert not remembered
