"""Agents on which launches fail: the last choice for a while, so that a broken one does not draw every pod.

The emptiest agent is the best, and one where nothing can start stays empty: without this it would be tried for ever,
while others have room.  It is never forbidden: where all are broken, all are tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 900.0


@dataclass(slots=True)
class _Trouble:
    until: float
    pause_s: float


@dataclass(slots=True)
class Shaky:
    """By node name; at most one entry an agent."""

    troubles: dict[str, _Trouble] = field(default_factory=dict)

    def failed(self, node_name: str, now: float) -> None:
        """A launch failed there. Failures during a pause are the same trouble."""
        known = self.troubles.get(node_name)
        if known is None:
            self.troubles[node_name] = _Trouble(now + FIRST_PAUSE_S, FIRST_PAUSE_S)
        elif known.until <= now:
            known.pause_s = min(2 * known.pause_s, LONGEST_PAUSE_S)
            known.until = now + known.pause_s

    def worked(self, node_name: str) -> None:
        """An executor there is ready for pods."""
        self.troubles.pop(node_name, None)

    def now(self, now: float) -> frozenset[str]:
        """The nodes that are the last choice now."""
        return frozenset(name for name, trouble in self.troubles.items() if trouble.until > now)
