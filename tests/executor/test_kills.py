"""What ends a task from outside: kills, and pods that are deleted or change hands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmsched.core.model import Phase
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from tests.executor.stories import KEY, POD, TASK, UID, launched, running, starting

RUNS = replace(POD, phase=Phase.RUNNING)
LEAVES = replace(RUNS, is_terminating=True)
IGNORED = [do.IgnoreKill(TASK, f"pod {KEY} is here and names this task, which ends with it")]


@pytest.mark.parametrize(
    "end", [ev.PodGone(UID), ev.PodsListed(()), replace(POD, phase=Phase.FAILED, is_terminating=True)]
)
def test_a_deleted_pod_ends_its_task_as_killed(end: ev.Event) -> None:
    story = running()
    assert story.tell(LEAVES) == []
    story.tell(end)
    assert story.reports()[-1] == "KILLED"


def test_a_kill_that_was_sent_before_the_binding_leaves_pod_and_task_alone() -> None:
    """A leader gave the launch up and died; its successor bound the pod; only now the kill arrives."""
    story = starting()
    story.tell(POD)
    assert story.tell(ev.KillRequested(TASK)) == IGNORED
    story.tell(RUNS)
    assert story.tell(ev.KillRequested(TASK)) == IGNORED
    assert story.reports() == ["STARTING", "RUNNING"]


@pytest.mark.parametrize("end", [replace(LEAVES, phase=Phase.SUCCEEDED), ev.PodGone(UID)])
def test_after_a_kill_that_changed_nothing_a_deletion_ends_the_task(end: ev.Event) -> None:
    story = running()
    story.tell(ev.KillRequested(TASK), LEAVES)
    # kubelet gives the containers their time; a kill does not shorten it
    assert story.tell(ev.KillRequested(TASK)) == IGNORED
    assert story.after(600.0) == []
    story.tell(end)
    assert story.reports() == ["STARTING", "RUNNING", "KILLED"]


def test_a_pod_that_was_deleted_by_force_holds_its_task_until_its_containers_are_gone() -> None:
    """`executor.leaving` tells of the pod as being there until then."""
    story = running()
    story.tell(ev.PodsListed((RUNS,)))
    assert story.tell(ev.KillRequested(TASK)) == IGNORED
    story.tell(ev.PodGone(UID))
    assert story.reports()[-1] == "KILLED"


@pytest.mark.parametrize("owner", ["", "u1.2.1"])
def test_kill_of_a_task_that_is_not_current_leaves_the_pod_alone(owner: str) -> None:
    story = running()
    story.tell(replace(RUNS, task_id=owner))
    story.tell(ev.KillRequested(TASK))
    assert story.reports()[-1] == "KILLED"
    assert "reservation ended; pod ns/p stays" in story.last().message


def test_a_repeated_kill_ends_the_reservation_once_the_pod_has_changed_hands() -> None:
    story = running()
    assert story.tell(ev.KillRequested(TASK)) == IGNORED
    story.tell(replace(RUNS, task_id="u1.2.1"), ev.KillRequested(TASK))
    assert story.reports()[-1] == "KILLED"


def test_a_kill_before_the_pod_is_here_ends_the_reservation() -> None:
    story = starting()
    story.tell(ev.KillRequested(TASK))
    assert story.reports() == ["STARTING", "KILLED"]
    assert story.tell(ev.KillRequested("unknown")) == []
    # its Binding was made all the same: the pod is the next task's
    story.tell(POD, launched("u1.2.1", "adopt"), replace(RUNS, task_id="u1.2.1"))
    assert story.reports("u1.2.1") == ["STARTING", "RUNNING"]
