"""One trial of a group of schedulers under load: what is noted and required whatever is done to the group.

Knows what holds for every fault and every play: whoever leads, pods do not notice, nobody acts who must not any more,
and the framework stays the one that it was.  What is done, and who has to lead afterwards, its heirs know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.group import Group
from tests.scenarios.load import Load
from tests.scenarios.outcome import Outcome
from tests.scenarios.reigns import Acts
from tests.scenarios.waiting import TooLateError


@dataclass(slots=True)
class GroupTrial(Outcome):
    """`old`, `new`: who led before and afterwards. `back_s`: when the group was whole again. `pods`: of the load.

    `refused`: calls of deposed schedulers that Mesos has not taken.
    """

    old: str = field(default="", kw_only=True)
    new: str = field(default="", kw_only=True)
    refused: int = field(default=0, kw_only=True)
    back_s: float = field(default=0.0, kw_only=True)
    pods: int = field(default=0, kw_only=True)

    def run(self, load: Load, act: Callable[[], None]) -> None:
        """Never raises for what goes wrong with the product: it is noted."""
        try:
            act()
            self.wrong += load.faults()
        except (TooLateError, AssertionError) as error:
            self.wrong.append(str(error))
        self.pods = len(load.watch.lives)

    def note_acts(self, acts: Acts) -> None:
        self.refused = acts.refused
        self.wrong += acts.faults()

    def require_framework(
        self, group: Group, before: Mapping[str, Any], ids: set[str], after: Mapping[str, Any]
    ) -> None:
        """No other than before. `before`, `after`: what the leaders say of themselves; `ids`: what the master had."""
        now = group.framework_ids()
        if (after["framework_id"], now) != (before["framework_id"], ids):
            self.wrong.append(f"framework {before['framework_id']} became {after['framework_id']}: {now}")
