"""What a flag is: one row of the table of flags.

Knows the fields of a row, and which names belong to the executor spec.  It does not know which flags there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kmsched import values
from kmsched.values import Kind

SCHEDULER = "scheduler"
EXECUTOR = "executor"
BOTH = frozenset({SCHEDULER, EXECUTOR})
ONLY_SCHEDULER = frozenset({SCHEDULER})

#: names that the compatibility document lists: a flag that matches is part of the executor spec, always
SPEC_NAMES = frozenset({"allow-privileged", "api-servers", "auth-path", "km-path", "profiling"})
SPEC_PREFIXES = ("cluster-", "executor-", "kubelet-", "proxy-")
#: settings that reach running executors, beside the spec
HOT_PREFIX = "agent-"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `default` is written as a user would; None means "not given" and then `required` decides.

    A flag of the executor spec that is added later must have no default: one that nobody gives may not change the
    fingerprint of what runs.
    """

    name: str
    kind: Kind
    default: str | None
    help: str
    commands: frozenset[str] = ONLY_SCHEDULER
    required: bool = False
    #: another flag that may be given in its place
    unless: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""
    at_least: float | None = None
    at_most: float | None = None
    #: (regular expression of the whole text, what to write), or of each item of a list
    pattern: tuple[str, str] | None = None
    #: whether the order of a list's items means something
    is_ordered: bool = True
    #: not named by the document, and in ExecutorInfo all the same
    is_compared: bool = False

    @property
    def in_spec(self) -> bool:
        return is_in_spec(self.name)

    @property
    def changes_executors(self) -> bool:
        """Whether another value is another fingerprint."""
        return self.in_spec or self.is_compared

    @property
    def is_hot(self) -> bool:
        return self.name.startswith(HOT_PREFIX)

    @property
    def key(self) -> str:
        """Its name as a Python identifier."""
        return self.name.replace("-", "_")

    def normal(self, value: Any) -> str:
        """The one text of a value: equal ones give equal text."""
        return values.write(self.kind, value if self.is_ordered else tuple(sorted(value)))


def is_in_spec(name: str) -> bool:
    """Whether a flag of this name is part of the executor spec (and so of the fingerprint)."""
    return name in SPEC_NAMES or name.startswith(SPEC_PREFIXES)
