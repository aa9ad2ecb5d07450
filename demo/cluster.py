"""The Kubernetes API through the testbed's kubectl: objects made and removed, pods watched with times.

Knows kubectl's command line and the watch's records. What the times mean to people is the report's.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from demo import objects
from demo.steps import StepFailed

CALL_LIMIT_S = 90.0
WATCH_READY_S = 20.0
LOOK_EVERY_S = 0.1
ASK_EVERY_S = 1.0

Json = dict[str, Any]


@dataclass(slots=True)
class Sight:
    """What was seen of one pod; times are of the monotonic clock, None: not seen yet."""

    name: str
    created: float
    uid: str = ""
    node: str = ""
    address: str = ""
    phase: str = ""
    bound: float | None = None
    running: float | None = None
    ended: float | None = None


class Kubectl:
    """`program`: the testbed's wrapper, which finds its way into the lab."""

    def __init__(self, program: Path) -> None:
        self._program = str(program)

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints. Raises StepFailed with its own words."""
        command = [self._program, *arguments]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, input=stdin, timeout=CALL_LIMIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StepFailed(f"kubectl {' '.join(arguments)}: {error}") from None
        if done.returncode != 0:
            raise StepFailed(f"kubectl {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Json:
        found: Json = json.loads(self("get", *arguments, "--output=json"))
        return found

    def watch_command(self) -> list[str]:
        """A watch of the demo's pods that tells when it has begun (a bookmark after what was there)."""
        query = urllib.parse.urlencode(
            {
                "watch": "true",
                "labelSelector": objects.SELECTOR,
                "sendInitialEvents": "true",
                "resourceVersionMatch": "NotOlderThan",
                "allowWatchBookmarks": "true",
            }
        )
        return [self._program, "get", "--raw", f"/api/v1/namespaces/{objects.NAMESPACE}/pods?{query}"]


def remove_old(kubectl: Kubectl) -> None:
    """Ends what an earlier demo made, and waits until its pods are gone."""
    kubectl(
        *("delete", "deployment,job,pod", f"--namespace={objects.NAMESPACE}", f"--selector={objects.SELECTOR}"),
        *("--cascade=foreground", "--ignore-not-found", "--wait", f"--timeout={CALL_LIMIT_S - 10:.0f}s"),
    )


def create(kubectl: Kubectl) -> None:
    kubectl("create", "--filename=-", stdin=json.dumps(objects.all_objects()))


class Watch:
    """The demo's pods by name, as the API server tells of them; a thread reads until the end of the `with`."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.sights: dict[str, Sight] = {}
        self._has_begun = threading.Event()
        self._child = subprocess.Popen(
            kubectl.watch_command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watch:
        self._reader.start()
        if not self._has_begun.wait(WATCH_READY_S):
            self._child.kill()
            _, said = self._child.communicate()
            raise StepFailed(f"pods cannot be watched: {said.strip() or f'silent for {WATCH_READY_S:.0f} s'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.wait()

    def until(self, is_enough: Callable[[dict[str, Sight]], bool], limit_s: float, tell: Callable[[], None]) -> bool:
        """Whether it was enough in time; `tell` is called again and again meanwhile."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if is_enough(dict(self.sights)):
                return True
            tell()
            time.sleep(LOOK_EVERY_S)
        return is_enough(dict(self.sights))

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            now = time.monotonic()
            event = json.loads(line)
            if event["type"] == "BOOKMARK":
                self._has_begun.set()
            elif event["type"] in ("ADDED", "MODIFIED"):
                note(self.sights, event["object"], now)


def note(sights: dict[str, Sight], pod: Json, now: float) -> None:
    """Puts down what this version of the pod shows for the first time."""
    name = pod["metadata"]["name"]
    sight = sights.setdefault(name, Sight(name, created=now))
    status = pod.get("status", {})
    sight.uid = pod["metadata"]["uid"]
    sight.node = pod["spec"].get("nodeName", "")
    sight.address = status.get("podIP", sight.address)
    sight.phase = status.get("phase", "")
    if sight.node and sight.bound is None:
        sight.bound = now
    if sight.phase in ("Running", "Succeeded") and sight.running is None:
        sight.running = now
    if sight.phase in ("Succeeded", "Failed") and sight.ended is None:
        sight.ended = now


def containers(kubectl: Kubectl) -> dict[str, int]:
    """Container id -> restarts, of the Deployment's pods."""
    pods = kubectl.get("pods", f"--namespace={objects.NAMESPACE}", f"--selector=app={objects.WEB}")["items"]
    states = [state for pod in pods for state in pod["status"].get("containerStatuses", ())]
    return {state["containerID"]: state["restartCount"] for state in states if "running" in state["state"]}


def failed_scheduling(kubectl: Kubectl, uid: str, limit_s: float) -> str:
    """The message of the FailedScheduling event on this pod; "" if there is none in time."""
    deadline = time.monotonic() + limit_s
    selector = f"--field-selector=involvedObject.uid={uid},reason=FailedScheduling"
    while True:
        found = kubectl.get("events", f"--namespace={objects.NAMESPACE}", selector)["items"]
        if found:
            return str(found[-1]["message"])
        if time.monotonic() > deadline:
            return ""
        time.sleep(ASK_EVERY_S)
