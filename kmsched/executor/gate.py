"""The program that checks km on the agent before it is run, as text for the executor's command.

Knows how the text is made: the same bytes on every machine and Python, since they are part of the executor spec, and
short, since `ps` shows them.  What the program does is in `gate_program`; this module imports nothing of kmsched.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

PROGRAM = "gate_program.py"
_QUOTES = '"""'


@cache
def gate_source() -> str:
    """The text for `python3 -c`, to be followed by the SHA-256 of km, its path, and km's arguments."""
    return without_words(files(__package__).joinpath(PROGRAM).read_text(encoding="utf-8"))


def without_words(text: str) -> str:
    """`text` without its docstrings, empty lines, and lines that are comments.

    By lines and no parser, whose output would differ between versions: a docstring begins a line and ends one.
    """
    kept = []
    is_within = False
    for line in text.splitlines():
        words = line.strip()
        if is_within:
            is_within = not words.endswith(_QUOTES)
        elif words.startswith(_QUOTES):
            is_within = len(words) < 2 * len(_QUOTES) or not words.endswith(_QUOTES)
        elif words and not words.startswith("#"):
            kept.append(line)
    return "\n".join(kept) + "\n"
