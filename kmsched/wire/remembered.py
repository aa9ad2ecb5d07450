"""What was made of bytes, so that the same bytes are read only once.

Knows how much room that may take; refuses to know what is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Remembered(dict[bytes, T]):
    """`remembered[told]` is `read(told)`, which is not called for what is among the last `count` that were asked for.

    Looking up is a dictionary's own, since it is done for every offer; that is why age is told by two generations, and
    not one by one: between `count` and twice as many are held.
    """

    def __init__(self, read: Callable[[bytes], T], count: int, longest: int) -> None:
        """More bytes than `longest` are read each time."""
        super().__init__()
        self._read, self._count, self._longest = read, count, longest
        self._older: dict[bytes, T] = {}

    def __missing__(self, told: bytes) -> T:
        if len(told) > self._longest:
            return self._read(told)
        found = self._older.pop(told) if told in self._older else self._read(told)
        if len(self) >= self._count:
            self._older = dict(self)
            self.clear()
        self[told] = found
        return found
