"""How the lead is held, as this process sees it: since when, how long a takeover took, and how long nobody led.

Knows moments and counts.  It decides nothing, and who leads it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmsched.clock import Clock

#: steps of a takeover, in their order
SUBSCRIBED, RECONCILED, FIRST_ACCEPT = "subscribed", "reconciled", "first_accept"


@dataclass(slots=True)
class Tenure:
    """Of this process, for the one term that it leads at most. Durations in seconds."""

    clock: Clock
    term: int = 0
    #: wall time, for people; 0.0 before the lead was won
    since_s: float = 0.0
    #: step -> seconds after the lead was won
    steps: dict[str, float] = field(default_factory=dict)
    _began_at: float = 0.0

    def began(self, term: int) -> None:
        self.term, self.since_s, self._began_at = term, self.clock.wall(), self.clock.monotonic()
        self.steps.clear()

    def reached(self, step: str) -> None:
        """For the first time in this term; later times are no part of the takeover."""
        if self.term:
            self.steps.setdefault(step, self.clock.monotonic() - self._began_at)


@dataclass(slots=True)
class Vacancy:
    """How long the leader key was missing, and how often somebody else took it, since this process looks."""

    clock: Clock
    failovers: int = 0
    _leader: str | None = None
    _since: float | None = None
    _total_s: float = 0.0

    def saw(self, leader: str | None) -> None:
        """The boot id of whoever leads, "" if it cannot be read, None when nobody does."""
        now = self.clock.monotonic()
        if self._since is not None and leader is not None:
            self._total_s += now - self._since
            self._since = None
        elif self._since is None and leader is None:
            self._since = now
        if leader:
            if self._leader is not None and leader != self._leader:
                self.failovers += 1
            self._leader = leader

    @property
    def lasts_s(self) -> float:
        """How long nobody has been leading now; 0: somebody leads."""
        return self.clock.monotonic() - self._since if self._since is not None else 0.0

    @property
    def total_s(self) -> float:
        return self._total_s + self.lasts_s
