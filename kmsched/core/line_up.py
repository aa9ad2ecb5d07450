"""Agents in the order in which it is worth looking at them, and how far along that pods have looked.

What agents are worth is `core.rank`'s; who looks, and when a line is made anew, is `core.judge`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class LineUp:
    """All agents as they were when so much had been taken."""

    order: list[int]  # numbers, in the order in which it is worth looking at them
    worth: tuple[Sequence[int], Sequence[float]]  # what leads, and what shares at rest are worth; by number
    least: tuple[float, float]  # that a thousandth of a core and a byte add, anywhere
    taken: int
    improved: int  # so many had become better
    rules: int = 0  # so many of the judge's rules tell its classes apart
    lines: dict[int, list[int]] = field(default_factory=dict)  # by class


@dataclass(slots=True)
class Field:
    """A class of agents, for pods that ask for the same: those at the head of the line, and all that became better."""

    line_up: LineUp
    line: list[int]
    #: what agents are worth, or were before they became worse; and a mark, worth as much as anybody who is not here.
    #: One that became better is here twice
    heap: list[int] = field(default_factory=list)
    looked_at: int = 0  # of the line


@dataclass(slots=True)
class Ask:
    """Agents, for pods that differ in their rules at most."""

    improved: int  # so many of the judge's have been seen
    rules: int = 0  # so many of the judge's rules tell its classes apart
    known: set[int] = field(default_factory=set)  # agents that are or were in a heap
    fields: dict[int, Field] = field(default_factory=dict)  # by class
    open_to: dict[int, list[list[int]]] = field(default_factory=dict)  # heaps by rule

    def opened(self, rule: int) -> list[list[int]]:
        """The heaps of the classes that the rule allows."""
        found = self.open_to.get(rule)
        if found is None:
            found = self.open_to[rule] = [one.heap for each, one in self.fields.items() if each >> rule & 1]
        return found

    def field_of(self, heap: list[int]) -> Field:
        return next(one for one in self.fields.values() if one.heap is heap)
