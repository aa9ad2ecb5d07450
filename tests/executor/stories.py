"""What happens to one executor, and what it does about it: for tests of its decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from kmsched.core.model import Phase
from kmsched.core.resources import Resources
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.core import step
from kmsched.executor.state import State

UID = "u1"


KEY = "ns/p"


TASK = "u1.1.1"


SUBSCRIBED = ev.Subscribed(Resources(cpus=4000, mem=8_000_000), Resources(cpus=250, mem=256_000), "H1")


POD = ev.PodSeen(KEY, UID, Phase.PENDING, task_id=TASK)


READY = (ev.KubeletHealthy(), ev.NodeSeen())


class Story:
    """A state, and everything that was done so far. `now` goes on only when told."""

    def __init__(self, launch_grace_s: float = 300.0, idle_timeout_s: float = 1200.0) -> None:
        self.state = State(b"seed", launch_grace_s, idle_timeout_s)
        self.now = 100.0
        self.done: list[do.Effect] = []

    def tell(self, *events: ev.Event) -> list[do.Effect]:
        new = [effect for event in events for effect in step(self.state, event, self.now)]
        self.done += new
        return new

    def after(self, seconds: float, *events: ev.Event) -> list[do.Effect]:
        self.now += seconds
        return self.tell(*events, ev.Ticked())

    def reports(self, task_id: str = TASK) -> list[str]:
        return [
            e.state.value.removeprefix("TASK_")
            for e in self.done
            if isinstance(e, do.SendUpdate) and e.task_id == task_id
        ]

    def last(self, task_id: str = TASK) -> do.SendUpdate:
        return [e for e in self.done if isinstance(e, do.SendUpdate) and e.task_id == task_id][-1]

    def acknowledge(self) -> list[do.Effect]:
        return self.tell(*(ev.Acknowledged(u.task_id, u.update_id) for u in list(self.state.updates)))


def launched(task_id: str = TASK, mode: Literal["bind", "adopt"] = "bind") -> ev.TaskLaunched:
    return ev.TaskLaunched(task_id, mode, KEY, UID)


def starting(**settings: float) -> Story:
    """A story whose task has reported STARTING."""
    story = Story(**settings)
    story.tell(SUBSCRIBED, ev.PodsListed(()), launched(), *READY)
    assert story.reports() == ["STARTING"]
    return story


def running(**settings: float) -> Story:
    story = starting(**settings)
    story.tell(POD, replace(POD, phase=Phase.RUNNING))
    assert story.reports() == ["STARTING", "RUNNING"]
    return story
