"""The executor as a whole: its agent and the API server are a fake behind the transport, kubelet is a real process."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import signal
from dataclasses import replace

import pytest

from kmsched.errors import EXIT_OK, ConfigRefused
from kmsched.wire import hotsettings
from kmsched.wire.hotsettings import HotSettings
from tests.executor.runs import Run, one_running, play
from tests.executor.world import DRAINED, until


def test_a_pods_way_to_its_end_and_the_executors(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        config = json.loads((run.folder / "kubelet-config.json").read_text())
        assert config["systemReserved"]["cpu"].endswith("m")
        assert (run.folder / "kubelet-client-ca.crt").read_text() == "CERTIFICATE"
        words = run.starts()[0]
        assert "--hostname-override=h1" in words
        assert "--node-labels=k8s.mesosphere.io/attribute-rack=b" in words
        assert "--node-ip=10.0.0.7" in words
        world.remove_pod("p")
        await until(lambda: world.states("t1") == ["STARTING", "RUNNING", "KILLED"])
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_kill_of_the_task_that_its_pod_names_is_told_in_the_log_and_changes_nothing(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    world = run.world
    caplog.set_level(logging.INFO)

    async def story() -> None:
        await one_running(run)
        world.event("KILL", kill={"task_id": {"value": "t1"}})
        await until(lambda: "task t1 is not killed: pod ns/p is here and names this task" in caplog.text)
        assert world.states("t1") == ["STARTING", "RUNNING"]
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_drained_agents_pod_is_deleted_and_its_executor_leaves(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        world.event("KILL", kill=DRAINED)
        await until(lambda: world.deletions)
        assert world.deletions[0]["path"] == "/api/v1/namespaces/ns/pods/p"
        assert world.deletions[0]["preconditions"] == {"uid": "uid-p"}
        assert world.deletions[0]["gracePeriodSeconds"] == 20
        dying = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 20}
        world.set_pod("p", "Running", "t1", **dying)
        assert world.states("t1") == ["STARTING", "RUNNING"]
        world.remove_pod("p")
        await until(lambda: world.states("t1") == ["STARTING", "RUNNING", "KILLED"])

    assert play(run, story) == EXIT_OK


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (503, "could not be deleted, which is tried again"),
        (403, "let nodes delete their pods, as `km manifests` says, or drain the Node"),
        (404, "is gone already"),
    ],
)
def test_a_deletion_that_fails_is_told_and_made_again(
    run: Run, caplog: pytest.LogCaptureFixture, answer: int, words: str
) -> None:
    world = run.world
    world.deletion_answer = answer
    caplog.set_level(logging.INFO)

    async def story() -> None:
        await one_running(run)
        world.event("KILL", kill=DRAINED)
        await until(lambda: words in caplog.text and len(world.deletions) > 1)
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_after_a_cut_the_next_subscription_carries_what_was_not_acknowledged(run: Run) -> None:
    world = run.world
    world.acknowledges = False

    async def story() -> None:
        await one_running(run)
        sent = [call["update"]["status"] for call in world.calls if call["type"] == "UPDATE"]
        world.agent_answer = (503, b"Agent has not finished recovery")
        world.cut()
        await until(lambda: len(world.subscriptions()) >= 3)
        world.set_pod("p", "Succeeded", "t1")
        world.agent_answer = (200, b"")
        await until(lambda: world.agent)
        again = world.subscriptions()[-1]
        updates = [update["status"] for update in again["unacknowledged_updates"]]
        assert [(u["uuid"], u["state"]) for u in updates[:2]] == [(u["uuid"], u["state"]) for u in sent]
        task = again["unacknowledged_tasks"][0]
        assert (task["task_id"]["value"], task["later"]) == ("t1", {"field": 1})

        def told() -> list[str]:
            return [*(u["state"] for u in updates), *(f"TASK_{s}" for s in world.states("t1")[2:])]

        await until(lambda: told()[-1] == "TASK_FINISHED")
        assert told() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
        assert len(run.starts()) == 1
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_acknowledged_tasks_are_not_sent_back(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        world.cut()
        await until(lambda: world.agent)
        assert world.subscriptions()[-1] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


@pytest.mark.parametrize(
    "answer", [(503, b"recovering"), (400, b"Framework 'f' cannot be found"), (400, b"Executor cannot be found")]
)
def test_an_agent_that_stays_away_or_does_not_know_us_is_the_end(run: Run, answer: tuple[int, bytes]) -> None:
    async def story() -> None:
        await one_running(run)
        run.world.agent_answer = answer
        run.world.cut()

    assert play(run, story) == EXIT_OK


def test_without_checkpointing_the_end_of_the_stream_is_the_end(run: Run) -> None:
    run.environ["MESOS_CHECKPOINT"] = "0"

    async def story() -> None:
        await one_running(run)
        run.world.cut()

    assert play(run, story) == EXIT_OK
    assert len(run.world.subscriptions()) == 1


def test_kubelet_comes_back_after_a_crash_and_after_its_node_vanished(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await one_running(run)
        os.kill(int(run.starts()[0].split()[1]), signal.SIGKILL)
        await until(lambda: len(run.starts()) == 2)
        world.remove_node()
        await until(lambda: len(run.starts()) == 3)
        world.set_node()
        world.launch("t2", "ns/q", "uid-q")
        await until(lambda: world.states("t2") == ["STARTING"])
        assert world.states("t1") == ["STARTING", "RUNNING"]
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_allocatable_is_never_below_what_bound_pods_request(run: Run) -> None:
    world = run.world
    for name in ("a", "b", "c"):  # 192 MiB, and the agent has 112 for pods
        world.set_pod(name, "Running", "old")
    world.set_pod("d", "Succeeded", "old")

    async def story() -> None:
        await until(run.starts)
        remembered = json.loads((run.folder / "root" / "kmsched-allocatable.json").read_text())
        assert (remembered["cpus_milli"], remembered["mem_milli_mib"]) == (800, 192_000)
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_the_node_names_its_agent_to_schedulers(run: Run) -> None:
    world = run.world
    world.set_node()
    named = {
        "metadata": {"annotations": {"k8s.mesosphere.io/slaveId": "agent-1", "k8s.mesosphere.io/frameworkId": "f"}}
    }

    async def story() -> None:
        await until(lambda: named in world.patches)
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_node_that_exists_gets_the_agents_labels(run: Run) -> None:
    world = run.world
    world.set_node(labels={"k8s.mesosphere.io/attribute-gone": "1", "other": "x"})

    async def story() -> None:
        await until(run.starts)
        labels = {"k8s.mesosphere.io/attribute-rack": "b", "k8s.mesosphere.io/attribute-gone": None}
        assert {"metadata": {"labels": labels}} in world.patches
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_a_task_that_is_not_ours_fails_and_a_group_of_tasks_too(run: Run) -> None:
    world = run.world

    async def story() -> None:
        await until(lambda: world.agent)
        task = {"name": "x", "task_id": {"value": "x"}, "agent_id": {"value": "a"}, "data": "e30="}
        world.event("LAUNCH", launch={"task": task})
        await until(lambda: world.states("x") == ["FAILED"])
        assert "not a task of kmsched" in world.last()["message"]
        world.event("LAUNCH_GROUP", launch_group={"task_group": {"tasks": [{"task_id": {"value": "y"}}]}})
        await until(lambda: world.states("y") == ["FAILED"])
        world.event("MESSAGE", message={"data": "aGk="})
        world.event("SOMETHING_NEW")
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_an_update_that_is_made_while_a_message_is_sent_is_sent_next(run: Run) -> None:
    world = run.world
    told = HotSettings(settings_version=3, settings={"agent-idle-timeout": "90s"})

    async def story() -> None:
        await until(lambda: world.agent)
        world.takes_messages.clear()
        world.event("MESSAGE", message={"data": base64.b64encode(hotsettings.encode(told)).decode()})
        await until(lambda: world.messages)
        world.event("LAUNCH_GROUP", launch_group={"task_group": {"tasks": [{"task_id": {"value": "y"}}]}})
        await asyncio.sleep(0.1)
        world.takes_messages.set()
        await until(lambda: world.states("y") == ["FAILED"])
        world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK


def test_sigterm_ends_it_like_shutdown(run: Run) -> None:
    async def story() -> None:
        await one_running(run)
        os.kill(os.getpid(), signal.SIGTERM)

    assert play(run, story) == EXIT_OK


def test_idle_executors_leave(run: Run) -> None:
    async def story() -> None:
        await until(lambda: run.world.agent)

    run.settings = replace(run.settings, idle_timeout_s=20.0)
    assert play(run, story) == EXIT_OK


def test_an_environment_that_is_not_mesos_is_refused(run: Run) -> None:
    run.environ.pop("MESOS_SLAVE_PID")
    with pytest.raises(ConfigRefused, match="MESOS_SLAVE_PID is not set"):
        asyncio.run(run.execute())
