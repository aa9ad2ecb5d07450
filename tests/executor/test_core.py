"""The executor's decisions, told as what happens and what is done about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from kmsched.core.events import TaskState
from kmsched.core.model import Phase, Taint
from kmsched.core.resources import Resources
from kmsched.errors import EXIT_CONFIG, EXIT_OK
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.state import unacknowledged_tasks
from kmsched.executor.tasks import Stage
from tests.executor.stories import POD, READY, SUBSCRIBED, TASK, UID, Story, launched, running, starting


def test_kubelet_is_started_once_with_what_the_agent_has_less_the_executor() -> None:
    story = Story()
    assert story.tell(SUBSCRIBED) == [
        do.StartKubelet(Resources(cpus=3750, mem=7_744_000), "H1", (), "subscribed to the agent")
    ]
    assert story.tell(SUBSCRIBED) == []


def test_an_agent_with_nothing_left_for_pods_is_refused_in_words() -> None:
    story = Story()
    story.tell(replace(SUBSCRIBED, agent=Resources(cpus=250, mem=256_000)), launched())
    assert story.reports() == ["FAILED"]
    assert "nothing is left for pods" in story.last().message
    assert story.acknowledge()[-1] == do.Exit(EXIT_CONFIG, story.last().message)


NOT_READY = Taint("node.kubernetes.io/not-ready", "", "NoExecute")


@pytest.mark.parametrize(
    "missing",
    [
        (ev.KubeletHealthy(),),
        (ev.NodeSeen(),),
        (ev.KubeletHealthy(), ev.NodeSeen("PLEG is not healthy")),
        (ev.KubeletHealthy(), ev.NodeSeen(taints=(NOT_READY,))),
        (ev.KubeletHealthy(), ev.NodeSeen(), ev.KubeletExited("exit 1"), launched("u1.1.2")),
    ],
)
def test_starting_needs_a_healthy_kubelet_and_a_node_that_takes_pods(missing: tuple[ev.Event, ...]) -> None:
    story = Story()
    task = "u1.1.2" if len(missing) > 3 else TASK
    story.tell(SUBSCRIBED, *(() if len(missing) > 3 else (launched(),)), *missing)
    assert story.reports(task) == []
    story.tell(*READY)
    assert story.reports(task) == ["STARTING"]


def test_other_taints_do_not_hold_a_task_back() -> None:
    story = Story()
    others = (Taint("dedicated", "x", "NoExecute"), structs.replace(NOT_READY, effect="NoSchedule"))
    story.tell(SUBSCRIBED, launched(), ev.KubeletHealthy(), ev.NodeSeen(taints=others))
    assert story.reports() == ["STARTING"]


@pytest.mark.parametrize(
    ("pod", "report", "words"),
    [
        (replace(POD, phase=Phase.RUNNING), "RUNNING", "has been started"),
        (replace(POD, has_started=True), "RUNNING", "has been started"),
        (replace(POD, phase=Phase.SUCCEEDED), "FINISHED", "succeeded"),
        (
            replace(POD, phase=Phase.FAILED, reason="Evicted", exit_summary="app: 137"),
            "FAILED",
            "Evicted: app: 137",
        ),
        (replace(POD, phase=Phase.FAILED), "FAILED", "no reason given"),
    ],
)
def test_the_pods_phase_becomes_the_tasks_state(pod: ev.PodSeen, report: str, words: str) -> None:
    story = starting()
    assert story.tell(POD) == []
    story.tell(pod)
    assert story.reports() == ["STARTING", report]
    assert words in story.last().message


def test_a_bind_task_does_not_follow_a_pod_that_another_task_brought() -> None:
    story = starting()
    story.tell(replace(POD, task_id="u1.2.9", phase=Phase.RUNNING))
    assert story.reports() == ["STARTING"]
    story.tell(ev.PodGone(UID))
    assert story.reports() == ["STARTING"]


def test_launch_grace_ends_the_reservation() -> None:
    story = starting()
    story.after(299.0)
    assert story.reports() == ["STARTING"]
    story.after(1.0)
    assert story.reports() == ["STARTING", "FAILED"]
    assert "launch grace of 300 s has passed: pod ns/p was not bound" in story.last().message


def test_launch_grace_counts_anew_once_the_node_is_usable_and_tells_what_was_missing() -> None:
    story = Story()
    story.tell(SUBSCRIBED, launched(), ev.KubeletUnhealthy("connection refused"))
    story.after(300.0)
    assert "launch grace of 300 s has passed: connection refused" in story.last().message
    slow = Story()
    slow.tell(SUBSCRIBED, launched())
    slow.after(299.0, *READY)
    slow.after(299.0)
    assert slow.reports() == ["STARTING"]


def test_launch_grace_0_waits_for_ever_and_a_pod_that_is_here_may_take_its_time() -> None:
    story = starting(launch_grace_s=0)
    story.after(1e6)
    assert story.reports() == ["STARTING"]
    pulling = starting()
    pulling.tell(POD)
    pulling.after(1e6)
    assert pulling.reports() == ["STARTING"]


def test_adopt_takes_over_a_running_pod_whatever_its_annotation_says() -> None:
    story = Story()
    story.tell(SUBSCRIBED, ev.PodsListed((replace(POD, task_id="u1.0.1", phase=Phase.RUNNING),)))
    story.tell(launched(mode="adopt"))
    assert story.reports() == []
    story.tell(*READY)
    assert story.reports() == ["STARTING", "RUNNING"]


def test_adopt_of_a_pod_that_is_not_here_fails_as_soon_as_the_list_is_complete() -> None:
    story = Story()
    story.tell(SUBSCRIBED, launched(mode="adopt"))
    assert story.reports() == []
    story.tell(ev.PodsListed(()))
    assert story.reports() == ["FAILED"]
    assert "is not on this node" in story.last().message


def test_updates_are_kept_until_acknowledged_and_the_task_until_its_last() -> None:
    story = running()
    assert unacknowledged_tasks(story.state) == [TASK]
    first, second = story.state.updates
    assert first.update_id != second.update_id
    story.tell(ev.Acknowledged(TASK, first.update_id), ev.Acknowledged(TASK, b"?" * 16))
    assert story.state.updates == [second]
    assert unacknowledged_tasks(story.state) == []
    story.tell(ev.PodGone(UID))
    assert TASK in story.state.tasks
    story.acknowledge()
    assert story.state.tasks == {} and story.state.updates == []


def test_a_launch_told_twice_is_one_task_and_an_unreadable_one_fails() -> None:
    story = running()
    assert story.tell(launched()) == []
    story.tell(ev.TaskUnreadable("x", "schema 9"))
    assert story.last("x").state is TaskState.FAILED
    assert (story.last("x").message, story.last("x").reason) == ("schema 9", "REASON_TASK_INVALID")
    story.acknowledge()
    assert set(story.state.tasks) == {TASK}


def test_kubelet_is_started_again_when_the_node_object_vanishes() -> None:
    story = running()
    effects = story.tell(ev.NodeVanished())
    assert [type(e) for e in effects] == [do.RestartKubelet]
    assert story.tell(ev.NodeVanished()) == []
    story.tell(ev.KubeletHealthy())
    assert story.after(59.0) == []
    assert [type(e) for e in story.after(1.0)] == [do.RestartKubelet]


def test_no_node_object_at_first_is_no_vanishing() -> None:
    story = Story()
    assert [type(e) for e in story.tell(SUBSCRIBED, ev.NodeVanished())] == [do.StartKubelet]


def test_idle_exit_wants_no_task_and_no_pod_that_runs() -> None:
    story = running(idle_timeout_s=10.0)
    story.tell(ev.PodGone(UID))
    story.after(60.0)
    story.acknowledge()
    other = ev.PodSeen("ns/other", "u2", Phase.RUNNING)
    story.tell(other, ev.PodSeen("kube-system/static", "u3", Phase.RUNNING, is_static=True))
    assert story.after(60.0) == []
    story.tell(replace(other, phase=Phase.SUCCEEDED))
    assert story.after(9.0) == []
    assert [type(e) for e in story.after(1.0)] == [do.StopKubelet, do.Exit]
    assert story.done[-1] == do.Exit(EXIT_OK, "no task and no pod for 10 s")


@pytest.mark.parametrize("end", [ev.ShutdownRequested(), ev.AgentLost("the agent does not know us")])
def test_an_end_from_outside_stops_kubelet_and_leaves_the_pods(end: ev.Event) -> None:
    story = running()
    effects = story.tell(end)
    assert [type(e) for e in effects] == [do.StopKubelet, do.Exit]
    assert story.tell(ev.PodGone(UID), ev.Ticked(), launched("later")) == []


def test_a_refused_kubelet_fails_tasks_with_the_reason_then_exits() -> None:
    story = Story()
    story.tell(SUBSCRIBED, launched(), ev.KubeletRefused("no kubelet at /x: install it"))
    assert story.reports() == ["FAILED"]
    assert story.last().message == "no kubelet at /x: install it"
    assert story.acknowledge()[-1] == do.Exit(EXIT_CONFIG, "no kubelet at /x: install it")


def test_a_refused_kubelet_waits_a_while_for_the_launch_that_gets_the_reason() -> None:
    story = Story()
    story.tell(SUBSCRIBED, ev.KubeletRefused("no kubelet"))
    assert story.after(29.0) == []
    story.tell(launched())
    assert story.reports() == ["FAILED"]
    assert story.after(1.0)[-1] == do.Exit(EXIT_CONFIG, "no kubelet; not every update was acknowledged")


PODS = [
    replace(POD, phase=phase, task_id=task, is_terminating=terminating)
    for phase in Phase
    for task in (TASK, "u1.1.2", "")
    for terminating in (False, True)
]


ANY_EVENT: list[ev.Event] = [
    *PODS,
    *(ev.PodsListed((pod,)) for pod in PODS[:3]),
    ev.PodsListed(()),
    ev.PodGone(UID),
    launched(),
    launched("u1.1.2", "adopt"),
    ev.KillRequested(TASK),
    ev.KillRequested("u1.1.2"),
    ev.KillRequested(TASK, 5.0),
    ev.KillRequested("u1.1.2", 5.0),
    ev.KubeletHealthy(),
    ev.KubeletExited("exit 1"),
    ev.NodeSeen(),
    ev.NodeSeen("no"),
    ev.NodeVanished(),
    ev.Ticked(),
    SUBSCRIBED,
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ANY_EVENT), st.sampled_from([0.0, 1.0, 6.0, 400.0])), max_size=40))
def test_whatever_happens_ends_are_final_and_no_kill_ends_the_task_that_its_pod_names_or_without_a_policy_the_pod(
    happenings: list[tuple[ev.Event, float]],
) -> None:
    story, drained = Story(idle_timeout_s=0), set[str]()
    for event, pause_s in happenings:
        story.now += pause_s
        effects = story.tell(event)
        pod = story.state.pods.get(UID)
        if isinstance(event, ev.KillRequested) and pod is not None and pod.task_id == event.task_id:
            assert not any(isinstance(e, do.SendUpdate) and e.state is TaskState.KILLED for e in effects)
        if isinstance(event, ev.KillRequested) and event.grace_s is not None:
            drained.add(event.task_id)
        for effect in effects:
            if isinstance(effect, do.DeletePod):
                assert story.state.pods[effect.uid].task_id in drained
                assert effect.grace_s == 5
    for task in story.state.tasks.values():
        reports = story.reports(task.task_id)
        ends = [r for r in reports if r in ("FINISHED", "FAILED", "KILLED")]
        assert ends == reports[-1:] if task.stage is Stage.ENDED else ends == []
        assert len(set(reports)) == len(reports)
    assert len({u.update_id for u in story.state.updates}) == len(story.state.updates)
