"""Which executors of ours run on which agents, how those of others differ, and what each is told beside its spec.

Knows that from offers, which name every executor of an agent, and from tasks and messages, which name one: an agent
that is full offers nothing.  What differs is told to it as words by executor id; it does not know flags.

Hot settings have a version, the scheduler's term.  An executor is told until it says that it has this one or a newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kmsched.core.effects import ConfigureExecutor
from kmsched.core.executor_id import EXECUTOR_PREFIX, FLAVOUR_MARK

#: what a launch told is confirmed by then, and needs no message of its own
FIRST_PAUSE_S = 2.0
#: an executor of a release that knows no settings never answers
LONGEST_PAUSE_S = 300.0
#: messages in one go: an ACCEPT must not wait behind thousands of them
BATCH = 20
#: differing flags that a reason names before it only counts
MAX_NAMED = 5
MAX_WORDS = 600
UNKNOWN_SPEC = (
    "{executor_id}, whose spec is not in the store: copy executors/{digits}* from the state folder of the scheduler"
    " that started it, or read its command on the agent's page of Mesos"
)
OTHER_FLAVOUR = "{executor_id}, whose own resources are of a role that is not in --mesos-framework-roles"
NO_DIFFERENCE = "{executor_id}, which differs in nothing that this version compares"


@dataclass(slots=True)
class Executor:
    """One that runs, as far as is known."""

    due_at: float  # when it is told the settings
    pause_s: float = FIRST_PAUSE_S
    settings_version: int = 0  # that it said it has; 0 none


@dataclass(slots=True)
class Executors:
    on_agent: dict[str, dict[str, Executor]] = field(default_factory=dict)  # agent id -> executor id
    #: executor id -> in what its spec differs from ours; those of unknown specs are missing
    differences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def offered(self, agent_id: str, executor_ids: Iterable[str], now: float) -> None:
        """An offer: these run on the agent, and no others."""
        known = self.on_agent.get(agent_id, {})
        listed = {each: known.get(each) or Executor(now + FIRST_PAUSE_S) for each in ours(executor_ids)}
        if listed:
            self.on_agent[agent_id] = listed
        else:
            self.on_agent.pop(agent_id, None)

    def seen(self, agent_id: str, executor_id: str, now: float) -> Executor | None:
        """A sign of life of one; None: it is no executor of ours."""
        if not agent_id or not executor_id.startswith(EXECUTOR_PREFIX):
            return None
        return self.on_agent.setdefault(agent_id, {}).setdefault(executor_id, Executor(now + FIRST_PAUSE_S))

    def confirmed(self, agent_id: str, executor_id: str, version: int, now: float) -> None:
        executor = self.seen(agent_id, executor_id, now)
        if executor is not None:
            executor.settings_version = max(executor.settings_version, version)

    def ended(self, agent_id: str, executor_id: str) -> None:
        left = self.on_agent.get(agent_id, {})
        left.pop(executor_id, None)
        if not left:
            self.on_agent.pop(agent_id, None)

    def agent_ended(self, agent_id: str) -> None:
        self.on_agent.pop(agent_id, None)

    def due(self, version: int, now: float) -> list[ConfigureExecutor]:
        """Whom to tell now that the settings have this version."""
        found: list[ConfigureExecutor] = []
        for agent_id, executors in self.on_agent.items():
            for executor_id, executor in executors.items():
                if executor.settings_version >= version or executor.due_at > now:
                    continue
                if len(found) >= BATCH:
                    return found
                executor.due_at = now + executor.pause_s
                executor.pause_s = min(2 * executor.pause_s, LONGEST_PAUSE_S)
                reason = f"it has settings {executor.settings_version}, ours are {version}"
                found.append(ConfigureExecutor(agent_id, executor_id, version, cause="settings", reason=reason))
        return found

    def words(self, executor_id: str) -> str:
        """How an executor differs from ours."""
        plain = plain_id(executor_id)
        found = self.differences.get(plain)
        if found is None and plain != executor_id:
            return OTHER_FLAVOUR.format(executor_id=executor_id)
        if found is None:
            return UNKNOWN_SPEC.format(executor_id=executor_id, digits=executor_id.removeprefix(EXECUTOR_PREFIX))
        if not found:
            return NO_DIFFERENCE.format(executor_id=executor_id)
        named = "; ".join(found[:MAX_NAMED])
        if len(found) > MAX_NAMED:
            named = f"{named}; and {len(found) - MAX_NAMED} more"
        return named if len(named) <= MAX_WORDS else f"{named[:MAX_WORDS]}..."


def plain_id(executor_id: str) -> str:
    """The id by the fingerprint alone."""
    return executor_id.partition(FLAVOUR_MARK)[0]


def ours(executor_ids: Iterable[str]) -> tuple[str, ...]:
    """Those that some scheduler of this kind started, sorted."""
    return tuple(sorted(each for each in executor_ids if each.startswith(EXECUTOR_PREFIX)))
