"""Kills with a kill policy: an operator drains the agent, and pods end in their time, or in his if that is less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmsched.core.model import Phase
from kmsched.errors import EXIT_OK
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.draining import FIRST_PAUSE_S, LINGER_S, LONGEST_PAUSE_S
from tests.executor.stories import KEY, POD, TASK, UID, Story, launched, running, starting

RUNS = replace(POD, phase=Phase.RUNNING)
DRAINED = ev.KillRequested(TASK, 60.0)


def deletions(effects: list[do.Effect]) -> list[do.DeletePod]:
    return [effect for effect in effects if isinstance(effect, do.DeletePod)]


def graces(effects: list[do.Effect]) -> list[int]:
    return [each.grace_s for each in deletions(effects)]


def dying(grace_s: int) -> ev.PodSeen:
    return replace(RUNS, is_terminating=True, grace_s=grace_s)


def test_a_kill_with_a_policy_deletes_the_pod_and_the_task_is_killed_once_the_pod_is_over() -> None:
    story = running()
    why = f"its agent is drained, and {TASK} is to end"
    assert story.tell(DRAINED) == [do.DeletePod(KEY, UID, 30, why)]
    assert story.tell(dying(30)) == []
    assert story.after(600.0) == []
    assert story.reports() == ["STARTING", "RUNNING"]
    story.tell(replace(dying(30), phase=Phase.FAILED))
    assert story.reports() == ["STARTING", "RUNNING", "KILLED"]


@pytest.mark.parametrize(
    ("own_s", "policy_s", "expected_s"),
    [
        (30, 60.0, 30),  # never longer than its own
        (600, 60.0, 60),
        (30, 2.9, 2),  # whole seconds, and none more than the operator said
        (30, 0.5, 1),
        (30, 0.0, 1),  # never 0
        (0, 60.0, 1),
    ],
)
def test_a_drained_pod_has_its_own_grace_or_the_policys_if_that_is_shorter(
    own_s: int, policy_s: float, expected_s: int
) -> None:
    story = running()
    story.tell(replace(RUNS, grace_s=own_s))
    assert graces(story.tell(ev.KillRequested(TASK, policy_s))) == [expected_s]


def test_repeats_of_a_kill_with_a_policy_change_nothing() -> None:
    story = running()
    assert len(deletions(story.tell(DRAINED, DRAINED))) == 1
    assert story.tell(dying(30), DRAINED, DRAINED) == []
    assert story.after(600.0, DRAINED) == []


def test_a_kill_without_a_policy_takes_no_drain_back_and_makes_none() -> None:
    story = running()
    assert deletions(story.tell(ev.KillRequested(TASK))) == []
    assert deletions(story.after(600.0)) == []
    assert len(deletions(story.tell(DRAINED))) == 1
    assert deletions(story.tell(ev.KillRequested(TASK))) == []
    assert len(deletions(story.after(FIRST_PAUSE_S))) == 1


@pytest.mark.parametrize(("dying_s", "expected"), [(0, []), (10, []), (20, []), (21, [20]), (600, [20])])
def test_a_pod_that_is_being_deleted_is_deleted_again_only_for_less_time(dying_s: int, expected: list[int]) -> None:
    story = running()
    story.tell(dying(dying_s))
    assert graces(story.tell(ev.KillRequested(TASK, 20.0))) == expected


def test_another_drain_with_less_time_counts_at_once() -> None:
    story = running()
    assert graces(story.tell(DRAINED, dying(30), ev.KillRequested(TASK, 5.0))) == [30, 5]


def test_a_deletion_without_effect_is_asked_for_again_after_growing_pauses() -> None:
    story = running()
    story.tell(DRAINED)
    asked: list[float] = []
    began = story.now
    while story.now < began + 200.0:
        if deletions(story.after(0.5)):
            asked.append(story.now - began)
    pauses = [after - before for before, after in zip([0.0, *asked], asked, strict=False)]
    assert pauses[:6] == [FIRST_PAUSE_S, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE_S]
    assert set(pauses[5:]) == {LONGEST_PAUSE_S}


@pytest.mark.parametrize(
    "pod",
    [
        replace(RUNS, is_static=True),
        replace(RUNS, phase=Phase.SUCCEEDED),
        replace(RUNS, phase=Phase.FAILED),
        replace(RUNS, task_id=""),
        replace(RUNS, task_id="u1.2.1"),
    ],
)
def test_a_drain_deletes_no_static_pod_none_that_is_over_and_none_that_names_another_task(pod: ev.PodSeen) -> None:
    story = running()
    story.tell(pod)
    assert deletions(story.tell(DRAINED)) == []
    assert deletions(story.after(600.0)) == []


def test_a_kill_with_a_policy_before_the_pod_is_here_ends_the_reservation() -> None:
    story = starting()
    assert deletions(story.tell(DRAINED)) == []
    assert story.reports() == ["STARTING", "KILLED"]
    assert deletions(story.tell(ev.KillRequested("unknown", 5.0))) == []


def test_a_pod_whose_binding_was_on_its_way_when_its_task_was_drained_is_deleted_too() -> None:
    story = starting()
    story.tell(DRAINED)
    story.acknowledge()
    assert graces(story.tell(POD)) == [30]


def test_a_kill_with_a_policy_of_another_task_leaves_the_pod_alone() -> None:
    story = running()
    story.tell(launched("u1.2.1", "adopt"))
    assert deletions(story.tell(ev.KillRequested("u1.2.1", 60.0))) == []
    assert story.reports("u1.2.1")[-1] == "KILLED"
    assert story.reports() == ["STARTING", "RUNNING"]


def leaves(story: Story, seconds: float) -> bool:
    return do.Exit(EXIT_OK, "the agent is drained: no task and no pod is left") in story.after(seconds)


def test_a_drained_executor_leaves_once_neither_task_nor_pod_is_left() -> None:
    """The agent takes no task before that, not even when it is reactivated."""
    story = running(idle_timeout_s=0)
    story.tell(DRAINED, dying(30))
    assert not leaves(story, 600.0)
    story.tell(ev.PodGone(UID))
    assert not leaves(story, 600.0)  # its last update is not acknowledged
    story.acknowledge()
    assert not leaves(story, LINGER_S - 1.0)
    assert leaves(story, 1.0)


def test_an_executor_that_was_not_drained_stays_for_its_idle_timeout() -> None:
    story = running()
    story.tell(ev.KillRequested(TASK), ev.PodGone(UID))
    story.acknowledge()
    assert not any(isinstance(each, do.Exit) for each in story.after(600.0))
