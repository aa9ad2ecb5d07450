"""A Mesos agent: tasks with their queues of updates, one executor, restarts that lose neither.

Updates of a task are sent one at a time, again and again until acknowledged.  A dead executor's entry stays until all
its terminal updates are acknowledged, and launches for it are dropped meanwhile; so are those that count on an executor
of whose end the master has not heard yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from kmsched.core.effects import Launch
from kmsched.core.events import TaskState
from kmsched.core.resources import Resources
from kmsched.core.taskid import parse_task_id
from kmsched.core.updates import TERMINAL
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from tests.sim.host import Executor, Kubelet
from tests.sim.loop import Channel, Loop

RETRY_S = 5.0
#: after which an operator ends the executor of an agent that is being drained
DRAIN_S = (20.0, 60.0)
DRAIN_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Status:
    """A status update as Mesos carries it."""

    task_id: str
    state: TaskState
    source: str
    reason: str = ""
    update_id: str = ""


@dataclass(slots=True)
class AgentTask:
    launch: Launch
    state: TaskState = TaskState.STAGING
    unsent: list[Status] = field(default_factory=list)  # the head is sent until it is acknowledged
    is_queued: bool = True  # its executor has not got it yet


class Agent:
    """`to_master` takes (words, job): what the master is told while the agent is registered."""

    def __init__(
        self,
        loop: Loop,
        agent_id: str,
        total: Resources,
        executor_resources: Resources,
        make_executor: Callable[[Callable[[do.SendUpdate], None], Callable[[], None]], Executor],
        kubelet: Kubelet,
    ) -> None:
        self.loop, self.agent_id, self.total, self.kubelet = loop, agent_id, total, kubelet
        self.executor_resources = executor_resources
        self.tasks: dict[str, AgentTask] = {}
        self.executor: Executor | None = None
        self.executor_id = ""  # of the newest one, as the master took it
        self.is_up = True
        self.is_subscribed = False  # the executor, at this agent
        self.is_draining = False  # until its executor has left, even when it is reactivated sooner
        self.settings_version = 0  # of the executor
        self.to_master: Channel | None = None
        self.on_status: Callable[[Agent, Status], None] = lambda agent, status: None
        self.on_executor_ended: Callable[[Agent], None] = lambda agent: None
        self.on_configured: Callable[[Agent, int], None] = lambda agent, version: None
        self._make_executor = make_executor
        self._updates = 0
        loop.every(RETRY_S, self._retry)

    # --- what the master asks for

    def launch(self, launch: Launch, *, starts_executor: bool) -> None:
        """`starts_executor`: the master knows of none. Where it knows of one that has ended, the launch is dropped."""
        if launch.task_id in self.tasks:
            return
        task = self.tasks[launch.task_id] = AgentTask(launch)
        if self.is_draining:
            self._report(task, TaskState.DROPPED, "REASON_AGENT_DRAINING")
            return
        has_entry = any(t.unsent for t in self.tasks.values() if t is not task and not t.is_queued)
        if self.executor is None and (has_entry or not starts_executor):
            self._report(task, TaskState.DROPPED, "REASON_EXECUTOR_TERMINATED")
            if starts_executor:
                self._to_master(lambda: self.on_executor_ended(self))
            return
        if self.executor is None:
            self._start_executor()
        elif self.is_subscribed:
            self._hand_over(task)

    def kill(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None or task.state in TERMINAL:
            return
        if task.is_queued:
            self._report(task, TaskState.KILLED, "REASON_TASK_KILLED_DURING_LAUNCH")
        elif self.executor is not None and self.is_subscribed:
            self._tell_executor(ev.KillRequested(task_id))

    def drain(self) -> None:
        """By an operator, who ends the executor if it does not leave by itself, and reactivates the agent at once."""
        if self.is_up and self.executor is not None and not self.is_draining:
            self.loop.tell(f"{self.agent_id} is drained")
            self.is_draining = True
            self._kill_drained()
            self.loop.at(self.loop.between(*DRAIN_S), self._end_drain)

    def _end_drain(self) -> None:
        if self.is_draining and not self.is_up:
            self.loop.at(RETRY_S, self._end_drain)
        elif self.is_draining:
            self.kill_executor()

    def _kill_drained(self) -> None:
        for task_id, task in self.tasks.items():
            if task.state in TERMINAL:
                continue
            self.kubelet.kube.drained.add(task.launch.pod_uid)
            if task.is_queued:
                self._report(task, TaskState.KILLED, "REASON_AGENT_DRAINING")
            elif self.is_subscribed:
                self._tell_executor(ev.KillRequested(task_id, DRAIN_GRACE_S))

    def acknowledged(self, task_id: str, update_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is None or not task.unsent or task.unsent[0].update_id != update_id:
            return
        done = task.unsent.pop(0)
        if done.state in TERMINAL:
            del self.tasks[task_id]
        elif task.unsent:
            self._send(task)

    def configure(self, version: int) -> None:
        """A message for the executor: lost where there is none, or none subscribed."""
        if self.executor is not None and self.is_subscribed:
            newest = self.settings_version = max(self.settings_version, version)
            self._to_master(lambda: self.on_configured(self, newest))

    # --- faults

    def crash(self) -> None:
        """The agent's process; its executor and the containers go on."""
        self.loop.tell(f"{self.agent_id} crashes")
        self.is_up = self.is_subscribed = False
        if self.to_master is not None:
            self.to_master.close()
            self.to_master = None

    def restart(self, in_time: bool) -> None:
        """`in_time`: the executor comes back before the agent gives it up."""
        self.loop.tell(f"{self.agent_id} is back, its executor {'too' if in_time else 'not'}")
        self.is_up = True
        executor = self.executor
        if executor is None:
            return
        if not in_time:
            executor.die()
            self._executor_gone(executor, TaskState.GONE, "REASON_EXECUTOR_REREGISTRATION_TIMEOUT")
            return
        self._subscribe(executor)

    def kill_executor(self) -> None:
        executor = self.executor
        if executor is not None and self.is_up:
            self.loop.tell(f"the executor of {self.agent_id} crashes")
            executor.die()
            self._executor_gone(executor, TaskState.FAILED, "REASON_EXECUTOR_TERMINATED")

    # --- the executor

    def _start_executor(self) -> None:
        self.settings_version = 0
        executor = self.executor = self._make_executor(
            lambda update: self._from_executor(executor, update),
            lambda: self._executor_gone(executor, TaskState.FAILED, "REASON_EXECUTOR_TERMINATED"),
        )
        self.loop.at(self.loop.between(0.2, 3.0), lambda: self._subscribe(executor))

    def _subscribe(self, executor: Executor) -> None:
        if not (self.is_up and executor is self.executor and executor.is_alive):
            return
        self.is_subscribed = True
        executor.take(ev.Subscribed(self.total, self.executor_resources, self.kubelet.node_name))
        for update in list(executor.state.updates):
            self._from_executor(executor, update)
        if self.is_draining:
            self._kill_drained()
        for task in list(self.tasks.values()):
            if task.is_queued and task.state not in TERMINAL:
                self._hand_over(task)

    def _hand_over(self, task: AgentTask) -> None:
        """The launch carries the settings of the scheduler that made it."""
        task.is_queued = False
        launch = task.launch
        made = parse_task_id(launch.task_id)
        self.settings_version = max(self.settings_version, made.term if made is not None else 0)
        mode: Literal["bind", "adopt"] = "adopt" if launch.mode == "adopt" else "bind"
        self._tell_executor(ev.TaskLaunched(launch.task_id, mode, launch.pod_key, launch.pod_uid))

    def _tell_executor(self, event: ev.Event) -> None:
        executor = self.executor
        if executor is not None:
            self.loop.at(0.001, lambda: executor.take(event))

    def _from_executor(self, executor: Executor, update: do.SendUpdate) -> None:
        if executor is not self.executor or not self.is_subscribed:
            return  # the next subscription carries it
        task = self.tasks.get(update.task_id)
        update_id = update.update_id.hex()
        if task is not None and task.state not in TERMINAL and all(s.update_id != update_id for s in task.unsent):
            status = Status(update.task_id, update.state, "SOURCE_EXECUTOR", update.reason, update_id)
            task.state = update.state
            self._queue(task, status)
        self._tell_executor(ev.Acknowledged(update.task_id, update.update_id))

    def _executor_gone(self, executor: Executor, state: TaskState, reason: str) -> None:
        if executor is not self.executor:
            return
        self.executor, self.is_subscribed, self.is_draining = None, False, False
        for task in list(self.tasks.values()):
            if task.state not in TERMINAL:
                task.is_queued = False
                self._report(task, state, reason)
        self._to_master(lambda: self.on_executor_ended(self))

    # --- updates

    def _report(self, task: AgentTask, state: TaskState, reason: str) -> None:
        self._updates += 1
        task.state = state
        update_id = f"{self.agent_id}-{self._updates}"
        self._queue(task, Status(task.launch.task_id, state, "SOURCE_AGENT", reason, update_id))

    def _queue(self, task: AgentTask, status: Status) -> None:
        task.unsent.append(status)
        if len(task.unsent) == 1:
            self._send(task)

    def _send(self, task: AgentTask) -> None:
        status = task.unsent[0]
        self._to_master(lambda: self.on_status(self, status))

    def _retry(self) -> None:
        for task in self.tasks.values():
            if task.unsent:
                self._send(task)

    def _to_master(self, job: Callable[[], None]) -> None:
        if self.is_up and self.to_master is not None:
            self.to_master.send(job)
