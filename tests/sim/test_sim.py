"""Thirty seeds in every check; and defects put in on purpose, each of which the simulator must notice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from kmsched.core import effects as do
from kmsched.core import events as ev
from kmsched.core.events import TaskState
from kmsched.core.state import State
from kmsched.core.step import step
from tests.sim.scheduler import Shell
from tests.sim.world import GOOD, World, failure

SEEDS = 30
#: within so many seeds a defect must be noticed
TRIES = 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_all_is_well(seed: int) -> None:
    assert failure(World(seed)) == ""


def test_a_seed_decides_all() -> None:
    first, second = World(7), World(7)
    assert failure(first) == failure(second) == ""
    assert list(first.loop.trace) == list(second.loop.trace)


def test_without_faults_nothing_is_killed_and_no_update_is_lost() -> None:
    assert failure(World(1, has_faults=False)) == ""


def test_slow_lists_cost_time_only() -> None:
    for seed in range(5):
        assert failure(World(seed, list_delay_s=12.0)) == ""


# --- defects


def acknowledges_at_once(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    """STARTING is acknowledged before its Binding is decided."""
    effects = step(state, event, now)
    if isinstance(event, ev.TaskUpdated) and event.update_id and event.state is TaskState.STARTING:
        early = do.AcknowledgeUpdate(event.agent_id, event.task_id, event.update_id, cause="early", reason="a defect")
        return [*effects, early]
    return effects


def kills_what_it_does_not_know(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    """A task is killed at once when no pod in the cache is its pod, whether the cache is whole or not."""
    effects = step(state, event, now)
    runs = isinstance(event, ev.TaskUpdated) and event.state is TaskState.RUNNING
    if isinstance(event, ev.TaskUpdated) and runs and event.task_id.partition(".")[0] not in state.pods:
        return [*effects, do.KillTask(event.task_id, event.agent_id, cause="stray", reason="a defect")]
    return effects


def forgets_failed_bindings(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    return [] if isinstance(event, ev.BindFailed) else step(state, event, now)


def believes_that_every_end_is_an_end(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    """Acknowledges what is terminal and thinks nothing of it."""
    losses = (TaskState.FAILED, TaskState.GONE, TaskState.LOST, TaskState.DROPPED)
    if isinstance(event, ev.TaskUpdated) and event.state in losses:
        if not event.update_id:
            return []
        return [do.AcknowledgeUpdate(event.agent_id, event.task_id, event.update_id, cause="end", reason="a defect")]
    return step(state, event, now)


def never_kills(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    return [effect for effect in step(state, event, now) if not isinstance(effect, do.KillTask)]


def takes_more_than_is_offered(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    for offer in event.offers if isinstance(event, ev.OffersArrived) else ():
        offer_more = structs.replace(offer, resources=offer.resources.plus(offer.resources))
        event = ev.OffersArrived((offer_more,))
    return step(state, event, now)


def leaves_nodes_behind(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    return [effect for effect in step(state, event, now) if not isinstance(effect, do.RemoveNode)]


def tells_no_settings(state: State, event: ev.Event, now: float) -> Sequence[do.Effect]:
    """But with launches."""
    return [effect for effect in step(state, event, now) if not isinstance(effect, do.ConfigureExecutor)]


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        (Shell(acknowledges_at_once), "is acknowledged before its write was decided or failed"),
        (Shell(kills_what_it_does_not_know, waits_for_lists=False), "which pods there are is not known"),
        (Shell(step, has_preconditions=False), "was made for another pod"),
        (Shell(forgets_failed_bindings), "is forgotten: Pending on ''"),
        (Shell(believes_that_every_end_is_an_end), "has tasks"),
        (Shell(never_kills), "has tasks"),
        (Shell(takes_more_than_is_offered), "an ACCEPT takes"),
        (Shell(leaves_nodes_behind), "nobody needs its Node"),
        (Shell(tells_no_settings), "has settings"),
    ],
    ids=lambda value: value.step.__name__ if isinstance(value, Shell) else "",
)
def test_a_defect_is_noticed(shell: Shell, words: str) -> None:
    for seed in range(10, 10 + TRIES):
        found = failure(World(seed, shell, list_delay_s=1.0 if shell.waits_for_lists else 8.0))
        # one defect may show in several ways
        if words in found.rpartition("\n")[2]:
            break
    assert words in found.rpartition("\n")[2]
    assert f"seed {seed} at " in found
    assert found.count("\n") > 5


def test_the_shells_differ_in_their_defect_only() -> None:
    assert Shell(step, has_preconditions=True, waits_for_lists=True) == GOOD
