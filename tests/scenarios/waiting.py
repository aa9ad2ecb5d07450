"""Bounded waiting: ask until the answer is yes, and say what the last answer was when time is up.

Knows nothing of what is asked. A server that is away just now counts as "not yet", because scenarios kill servers.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_S = 0.2
#: a server that is away, or answers half
AWAY = (OSError, http.client.HTTPException, ValueError)


class TooLateError(AssertionError):
    """What was waited for did not come; the message has the last answer."""


def until(question: Callable[[], Answer], limit_s: float, what: str, poll_s: float = POLL_S) -> Answer:
    """The first true answer to `question`.

    Raises:
        TooLateError: none within `limit_s` seconds.
    """
    deadline = time.monotonic() + limit_s
    while True:
        last: object
        try:
            answer = question()
        except AWAY as error:
            last = error
        else:
            if answer:
                return answer
            last = answer
        if time.monotonic() >= deadline:
            raise TooLateError(f"not after {limit_s:g} s: {what} (the last answer: {last!r})")
        time.sleep(poll_s)


def same(question: Callable[[], Answer], wanted: Answer, limit_s: float, what: str) -> None:
    """Until `question` answers `wanted`; TooLateError shows both."""
    last: list[Answer] = []

    def asked() -> bool:
        last[:] = [question()]
        return last == [wanted]

    try:
        until(asked, limit_s, what)
    except TooLateError as error:
        raise TooLateError(f"{error}: wanted {wanted!r}, got {last!r}") from None
