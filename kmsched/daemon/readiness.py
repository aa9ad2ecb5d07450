"""Whether this scheduler can do its work now, and if not, why, in words.

Knows the steps to readiness.  The parts tell it how far they are; it asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = ("pods", "nodes")


@dataclass(slots=True)
class Readiness:
    """`is_reconciled` asks the core; the rest is set by those who know."""

    is_reconciled: Callable[[], bool] = lambda: False
    #: collection -> why it is not listed yet; absent once it is
    unlisted: dict[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, "not tried yet"))
    #: why there is no subscription; "" while there is one
    unsubscribed: str = "not tried yet"

    @property
    def is_synced(self) -> bool:
        return not self.unlisted

    def listed(self, kind: str) -> None:
        self.unlisted.pop(kind, None)

    def not_listed(self, kind: str, reason: str) -> None:
        """Only before the first list: later the copy goes on, some seconds old."""
        if kind in self.unlisted:
            self.unlisted[kind] = reason

    def reasons(self) -> list[str]:
        """Nothing: ready."""
        found = [f"{kind} of the Kubernetes API are not listed yet: {why}" for kind, why in self.unlisted.items()]
        if self.unsubscribed:
            found.append(f"not subscribed with a Mesos master: {self.unsubscribed}")
        elif not self.is_reconciled():
            found.append("the state of all tasks is not reconciled with Mesos yet")
        return found
