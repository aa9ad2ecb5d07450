"""What an agent runs in the executor's place first: `python3 -c GATE SHA256 KM ARGUMENT...`.

Knows the standard library, the km file's digest, and as much of the v1 executor API as it takes to say that tasks
fail.  Right: it becomes `KM ARGUMENT...`.  Wrong: it registers with the agent as the executor would, fails every task
with what it found, and exits.  It is a program, not a module of kmsched: nobody imports it, its text is part of the
executor spec (`executor.gate`), and it runs on any Python from 3.9 on.
"""

import base64
import hashlib
import http.client
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

EXIT_WRONG = 25
CHUNK_BYTES = 1 << 20
#: the whole of failing tasks, whatever the agent does
REPORT_S = 30.0
#: after the last acknowledgement: launches that are on their way get the reason, too
QUIET_S = 1.0
CONNECT_S = 5.0
AGAIN_S = 0.5
MAX_RECORD_BYTES = 1 << 24


def trouble(expected: str, path: str) -> str:
    """Why the file must not be run; "" when it is the one expected. Never raises an OSError."""
    name = Path.cwd() / path
    remedy = "publish km again and name the URI that km-upload prints as --km-path; nothing of it was run"
    size = 0
    try:
        digest = hashlib.sha256()
        with name.open("rb") as file:
            while True:
                chunk = file.read(CHUNK_BYTES)
                if not chunk:
                    break
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror}), sha256 {expected} expected; {remedy}"
    if digest.hexdigest() == expected:
        return ""
    found = f"sha256 {digest.hexdigest()} fetched, {expected} expected ({size} bytes are there)"
    return f"{name}: {found}; {remedy}"


class Agent:
    """The agent in MESOS_*; what it has not acknowledged is kept, and sent again with the next subscription."""

    def __init__(self, environ: Any, message: str) -> None:
        name, _, self.address = environ["MESOS_SLAVE_PID"].partition("@")
        self.path = "/" + name + "/api/v1/executor"
        self.executor_id = {"value": environ["MESOS_EXECUTOR_ID"]}
        self.ids = {"executor_id": self.executor_id, "framework_id": {"value": environ["MESOS_FRAMEWORK_ID"]}}
        self.headers = {"content-type": "application/json", "accept": "application/json"}
        token = environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        if token:
            self.headers["authorization"] = "Bearer " + token
        self.message = message
        self.tasks: dict[str, Any] = {}
        self.statuses: dict[str, Any] = {}
        self.had_tasks = False

    def post(self, kind: str, body: dict[str, Any]) -> Any:
        """The answer, its body unread; the connection; its socket, which outlives a `Connection: close`."""
        connection = http.client.HTTPConnection(self.address, timeout=CONNECT_S)
        connection.connect()
        sock = connection.sock
        call = {"type": kind, **self.ids, **body}
        connection.request("POST", self.path, json.dumps(call).encode(), self.headers)
        return connection.getresponse(), connection, sock

    def serve(self) -> None:
        """One subscription, until there is nothing left to be said; OSError, HTTPException: subscribe again."""
        unacknowledged = {
            "unacknowledged_tasks": list(self.tasks.values()),
            "unacknowledged_updates": [{"status": status} for status in self.statuses.values()],
        }
        stream, connection, sock = self.post("SUBSCRIBE", {"subscribe": unacknowledged})
        try:
            if stream.status != 200:
                words = stream.read(500).decode("utf-8", "replace")
                if stream.status == 400 and "cannot be found" in words:
                    return
                raise OSError(f"the agent answered {stream.status}: {words}")
            while True:
                is_over = self.had_tasks and not self.statuses
                sock.settimeout(QUIET_S if is_over else REPORT_S)
                try:
                    length = stream.readline(12)
                except OSError:
                    if is_over:
                        return
                    raise
                if not length.strip().isdigit() or int(length) > MAX_RECORD_BYTES:
                    raise OSError(f"the agent ended the stream: {length!r}")
                if not self.take(json.loads(stream.read(int(length)))):
                    return
        finally:
            connection.close()

    def take(self, event: Any) -> bool:
        """Fail what is launched; False when the agent wants the end."""
        kind = event.get("type")
        if kind == "LAUNCH":
            self.fail(event["launch"]["task"])
        elif kind == "LAUNCH_GROUP":
            for task in event["launch_group"]["task_group"]["tasks"]:
                self.fail(task)
        elif kind == "ACKNOWLEDGED":
            known = self.statuses.get(event["acknowledged"]["task_id"]["value"])
            if known and known["uuid"] == event["acknowledged"]["uuid"]:
                del self.statuses[known["task_id"]["value"]]
                self.tasks.pop(known["task_id"]["value"], None)
        return kind not in ("SHUTDOWN", "ERROR")

    def fail(self, task: Any) -> None:
        self.had_tasks = True
        task_id = task["task_id"]["value"]
        self.tasks[task_id] = task
        self.statuses[task_id] = status = {
            "task_id": task["task_id"],
            "executor_id": self.executor_id,
            "state": "TASK_FAILED",
            "source": "SOURCE_EXECUTOR",
            "message": self.message,
            "timestamp": time.time(),
            "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        }
        reply, connection, _ = self.post("UPDATE", {"update": {"status": status}})
        connection.close()
        if reply.status != 202:
            raise OSError(f"the agent answered {reply.status} to an update")


def leave(*_: object) -> None:
    """At once, from a signal's handler, too."""
    os._exit(EXIT_WRONG)


def say(words: str) -> None:
    print(f"km: {words}", file=sys.stderr, flush=True)


def main() -> None:
    expected, path = sys.argv[1:3]
    message = trouble(expected, path)
    if not message:
        try:
            os.execv(path, [path, *sys.argv[3:]])
        except OSError as error:
            message = f"{Path.cwd() / path}: cannot be run: {error.strerror}"
    say(message)
    signal.signal(signal.SIGALRM, leave)
    signal.signal(signal.SIGTERM, leave)
    signal.setitimer(signal.ITIMER_REAL, REPORT_S)
    try:
        agent = Agent(os.environ, message)
    except KeyError as error:
        say(f"no agent to be told: {error} is not set")
        leave()
    while True:
        try:
            agent.serve()
            leave()
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            say(f"the agent is not told: {error!r}")
            time.sleep(AGAIN_S)


if __name__ == "__main__":
    main()
