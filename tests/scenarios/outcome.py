"""What came out of one trial: its figures, and everything that was not as it must be.

Knows how that becomes one line of a soak. What is tried, and what is wrong, its heirs know.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Outcome:
    """`wrong`: words for each thing; nothing else makes a trial fail."""

    seed: int
    wrong: list[str] = field(default_factory=list, kw_only=True)

    def record(self) -> dict[str, Any]:
        """All that is known, the verdict last and before it what it is made from."""
        figures = asdict(self)
        wrong = figures.pop("wrong")
        return {**figures, "wrong": wrong, "verdict": "failed" if wrong else "passed"}
