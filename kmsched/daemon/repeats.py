"""Words that were said already: so that an upstream that is away for a night does not fill the disk with one line.

Knows texts and times, and forgets the oldest.
"""

from __future__ import annotations

from collections import OrderedDict

from kmsched.clock import Clock

#: the same line again after this
AGAIN_S = 30.0
MAX_REMEMBERED = 1000


class Repeats:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: OrderedDict[str, float] = OrderedDict()

    def is_news(self, words: str) -> bool:
        """Not said within the last `AGAIN_S` seconds."""
        now = self._clock.monotonic()
        said_at = self._said.get(words)
        if said_at is not None and now - said_at < AGAIN_S:
            return False
        self._remember(words, now)
        return True

    def is_first(self, words: str) -> bool:
        """Not said as far as is remembered."""
        if words in self._said:
            return False
        self._remember(words, self._clock.monotonic())
        return True

    def _remember(self, words: str, now: float) -> None:
        self._said[words] = now
        self._said.move_to_end(words)
        if len(self._said) > MAX_REMEMBERED:
            self._said.popitem(last=False)
