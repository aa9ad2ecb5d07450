"""How a task id names its pod: `<pod-uid>.<term>.<n>`, the term in base 36 and the counter in decimal.

A task id is all that a successor needs to know whose reservation it is, so the text must round-trip exactly: only
what `str(TaskId)` writes is read back.  Knows nothing of what a term or a counter is good for.
"""

from __future__ import annotations

import re
from functools import cache

from msgspec import Struct

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"([0-9A-Za-z_-]{1,128})\.(0|[1-9a-z][0-9a-z]{0,15})\.(0|[1-9][0-9]{0,17})")


class TaskId(Struct, frozen=True, gc=False):
    """`term` and `n` are not negative."""

    pod_uid: str
    term: int
    n: int

    def __str__(self) -> str:
        return spelled(self.pod_uid, self.term, self.n)


def spelled(pod_uid: str, term: int, n: int) -> str:
    return f"{pod_uid}.{_base36(term)}.{n}"


def parse_task_id(text: str) -> TaskId | None:
    """The parts of a task id; None if the text is not one of ours."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    uid, term, n = match.groups()
    return TaskId(uid, int(term, 36), int(n))


@cache  # a process has a term or two
def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if number <= 0:
            return text
