"""Whether this scheduler can do its work now, and if not, why, in words.

Knows the steps to readiness.  The parts tell it how far they are; it asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kmsched.clock import Clock

KINDS = ("pods", "nodes")
#: a copy that cannot be kept up for so long is too old to act on; a watch that stood for so long has kept it up
STALE_S = 10.0


@dataclass(slots=True)
class Interruption:
    """Failed attempts to keep a copy up to date, in monotonic seconds. `watching`: since when a watch stands again."""

    since: float
    reason: str
    watching: float | None = None


@dataclass(slots=True)
class Readiness:
    """`is_reconciled` asks the core; the rest is set by those who know."""

    clock: Clock
    is_reconciled: Callable[[], bool] = lambda: False
    #: collection -> why it is not listed yet; absent once it is
    unlisted: dict[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, "not tried yet"))
    interruptions: dict[str, Interruption] = field(default_factory=dict)
    #: why there is no subscription; "" while there is one
    unsubscribed: str = "not tried yet"
    #: a kube-scheduler that places the same pods, in words; "" there is none
    rival: str = ""

    def heard(self, kind: str) -> None:
        """The copy of `kind` is whole and as new as it gets."""
        self.unlisted.pop(kind, None)
        self.interruptions.pop(kind, None)

    def interrupted(self, kind: str, reason: str) -> None:
        if kind in self.unlisted:
            self.unlisted[kind] = reason
            return
        now = self.clock.monotonic()
        known = self.interruptions.get(kind)
        if known is not None and (known.watching is None or now - known.watching < STALE_S):
            known.reason, known.watching = reason, None
        else:
            self.interruptions[kind] = Interruption(now, reason)

    def watching(self, kind: str) -> None:
        """A watch stands. Whether it lasts is not known yet."""
        if kind in self.interruptions:
            self.interruptions[kind].watching = self.clock.monotonic()

    def found_rival(self, words: str) -> None:
        self.rival = words

    def warnings(self) -> list[str]:
        """What is wrong and lets this process work all the same."""
        return [self.rival] if self.rival else []

    def reasons(self) -> list[str]:
        """Nothing: ready."""
        found = self.reasons_of_upstreams()
        if not self.unsubscribed and not self.is_reconciled():
            found.append("the state of all tasks is not reconciled with Mesos yet")
        return found

    def reasons_of_upstreams(self) -> list[str]:
        """Why no leader could work here, whatever it does: all that another host may be better at."""
        of_mesos = [f"not subscribed with a Mesos master: {self.unsubscribed}"] if self.unsubscribed else []
        return [*self.reasons_of_copies(), *of_mesos]

    def reasons_of_copies(self) -> list[str]:
        """Why pods and nodes are not known well enough to act on; all that a standby needs."""
        found = [f"{kind} of the Kubernetes API are not listed yet: {why}" for kind, why in self.unlisted.items()]
        now = self.clock.monotonic()
        found += [
            f"{kind} of the Kubernetes API are {now - each.since:.0f} s old: {each.reason}"
            for kind, each in self.interruptions.items()
            if each.watching is None and now - each.since >= STALE_S
        ]
        return found
