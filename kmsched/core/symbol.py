"""Enumerations that are keys of tables."""

from __future__ import annotations

from enum import Enum


class Symbol(Enum):
    """Its members are hashed as what they are, single objects: `Enum` asks for their names, in Python, each time."""

    __hash__ = object.__hash__
