"""What ends a task from outside: kills, and pods that are deleted or change hands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmsched.core.model import Phase
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from tests.executor.stories import KEY, POD, TASK, UID, running, starting


@pytest.mark.parametrize(
    "end", [ev.PodGone(UID), ev.PodsListed(()), replace(POD, phase=Phase.FAILED, is_terminating=True)]
)
def test_a_deleted_pod_ends_its_task_as_killed(end: ev.Event) -> None:
    story = running()
    assert story.tell(replace(POD, phase=Phase.RUNNING, is_terminating=True)) == []
    story.tell(end)
    assert story.reports()[-1] == "KILLED"


@pytest.mark.parametrize(("wanted", "asked"), [(None, None), (30.0, 30), (0.0, 1), (1.2, 2)])
def test_kill_of_the_current_task_deletes_the_pod(wanted: float | None, asked: int | None) -> None:
    story = running()
    effects = story.tell(ev.KillRequested(TASK, wanted))
    assert [type(e) for e in effects] == [do.SendUpdate, do.DeletePod]
    assert effects[1] == do.DeletePod(KEY, UID, "", asked, f"its task {TASK} is killed")
    assert story.tell(replace(POD, phase=Phase.SUCCEEDED)) == []
    story.tell(ev.PodGone(UID))
    assert story.reports() == ["STARTING", "RUNNING", "KILLING", "KILLED"]


def test_a_deletion_without_effect_is_asked_for_again_and_a_repeated_kill_is_harmless() -> None:
    story = running()
    story.tell(ev.KillRequested(TASK))
    assert story.tell(ev.KillRequested(TASK)) == []
    assert story.after(4.0) == []
    assert [type(e) for e in story.after(1.0)] == [do.DeletePod]
    story.tell(replace(POD, phase=Phase.RUNNING, is_terminating=True))
    assert story.after(60.0) == []
    assert story.tell(ev.KillRequested(TASK)) == []


@pytest.mark.parametrize("owner", ["", "u1.2.1"])
def test_kill_of_a_task_that_is_not_current_leaves_the_pod_alone(owner: str) -> None:
    story = running()
    story.tell(replace(POD, phase=Phase.RUNNING, task_id=owner))
    story.tell(ev.KillRequested(TASK))
    assert story.reports()[-1] == "KILLED"
    assert "reservation ended; pod ns/p stays" in story.last().message
    assert not any(isinstance(e, do.DeletePod) for e in story.done)


def test_a_kill_before_the_pod_is_here_ends_the_reservation() -> None:
    story = starting()
    story.tell(ev.KillRequested(TASK))
    assert story.reports() == ["STARTING", "KILLED"]
    assert story.tell(ev.KillRequested("unknown")) == []


def test_a_pod_that_changes_hands_while_it_is_to_be_deleted_is_let_go() -> None:
    story = running()
    story.tell(ev.KillRequested(TASK), replace(POD, phase=Phase.RUNNING, task_id="u1.2.1"))
    story.after(10.0)
    assert story.reports()[-1] == "KILLED"


def test_a_pod_that_changed_before_it_was_deleted_is_looked_at_again() -> None:
    story = running()
    seen = replace(POD, phase=Phase.RUNNING, version="7")
    [*_, asked] = story.tell(seen, ev.KillRequested(TASK))
    assert isinstance(asked, do.DeletePod)
    assert asked.version == "7"
    # its change is not known yet: a later tick asks with what is known then
    assert story.tell(ev.DeletionRefused(UID, "7")) == []
    assert story.tell(replace(seen, version="8")) == []
    assert [e.version for e in story.after(5.0) if isinstance(e, do.DeletePod)] == ["8"]
    # its change is known already
    story.tell(replace(seen, version="9"))
    assert [e.version for e in story.tell(ev.DeletionRefused(UID, "8")) if isinstance(e, do.DeletePod)] == ["9"]
    # and was that it belongs to another task now
    story.tell(replace(seen, version="10", task_id="u1.2.1"))
    story.tell(ev.DeletionRefused(UID, "9"))
    assert story.reports()[-1] == "KILLED"
    assert story.tell(ev.DeletionRefused("unknown", "1")) == []
