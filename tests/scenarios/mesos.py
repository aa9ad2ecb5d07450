"""What the Mesos master holds: tasks, agents, resources; and what operators do: drain an agent, end a framework.

Reads the master's state page. A task of a pod is found by the uid at the start of its id.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from testbed import peers
from testbed.settings import Settings
from tests.scenarios import lab
from tests.scenarios.waiting import until

State = Mapping[str, Any]
FRAMEWORK = "Kubernetes"
DRAINED_S = 120.0
ENDED = frozenset({"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_GONE"})


@dataclass(frozen=True, slots=True)
class Mesos:
    settings: Settings
    masters: tuple[str, ...]

    def state(self) -> State:
        for url in self.masters:
            reply = lab.ask(self.settings, f"{url}/state")
            if reply.status == 200:
                found: State = reply.json()
                return found
        raise OSError(f"no Mesos master answers: {self.masters}")

    def framework(self, name: str = FRAMEWORK) -> State:
        """The registered framework of that name; OSError while there is none."""
        for each in self.state().get("frameworks", ()):
            if each["name"] == name:
                found: State = each
                return found
        raise OSError(f"Mesos knows no framework {name!r}")

    def live_tasks(self, name: str = FRAMEWORK) -> dict[str, str]:
        """Task id -> state of the tasks that hold resources."""
        framework = self.framework(name)
        tasks = [*framework["tasks"], *framework.get("unreachable_tasks", ())]
        return {task["id"]: task["state"] for task in tasks if task["state"] not in ENDED}

    def ended_tasks(self) -> dict[str, str]:
        return {task["id"]: task["state"] for task in self.framework()["completed_tasks"]}

    def agents(self) -> dict[str, State]:
        """Host name -> registered, active agent."""
        return {agent["hostname"]: agent for agent in self.state()["slaves"] if agent["active"]}

    def held_for_pods(self) -> dict[str, float]:
        """cpus and mem that the framework holds beside what its executors have."""
        framework = self.framework()
        executors = [executor["resources"] for executor in framework["executors"]]
        used = framework["used_resources"]
        return {kind: round(used[kind] - sum(each[kind] for each in executors), 3) for kind in ("cpus", "mem")}

    def drain_state(self, host: str) -> str:
        """DRAINING, DRAINED, or "" of an agent that nobody drains."""
        (agent,) = (each for each in self.state()["slaves"] if each["hostname"] == host)
        return str(agent.get("drain_info", {}).get("state", ""))

    @contextlib.contextmanager
    def drained(self, host: str, max_grace_s: int | None) -> Iterator[None]:
        """As an operator drains an agent; DRAINED is waited for before it is reactivated, as Mesos wants it."""
        agent_id = {"value": self.agents()[host]["id"]}
        limit = {} if max_grace_s is None else {"max_grace_period": {"seconds": max_grace_s}}
        self._operate("DRAIN_AGENT", drain_agent={"agent_id": agent_id, **limit})
        try:
            yield
        finally:
            until(lambda: self.drain_state(host) == "DRAINED", DRAINED_S, f"{host} is DRAINED")
            self._operate("REACTIVATE_AGENT", reactivate_agent={"agent_id": agent_id})

    def _operate(self, call: str, **body: object) -> None:
        content = json.dumps({"type": call, **body}).encode()
        headers = {"content-type": "application/json"}
        reply = lab.ask(self.settings, f"{self.masters[0]}/api/v1", method="POST", body=content, headers=headers)
        assert reply.status == 200, reply

    def teardown(self, framework_id: str) -> None:
        """As an operator does it: the framework is removed for good."""
        body = urlencode({"frameworkId": framework_id}).encode()
        reply = lab.ask(self.settings, f"{self.masters[0]}/master/teardown", method="POST", body=body)
        assert reply.status == 200, reply


def connect(settings: Settings, masters: list[str]) -> Mesos:
    return Mesos(settings, tuple(peers.master_urls(settings, masters).split(",")))


def pod_uid(task_id: str) -> str:
    return task_id.split(".", 1)[0]
