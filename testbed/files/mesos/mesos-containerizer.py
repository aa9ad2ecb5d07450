#!/usr/bin/env python3
"""Stand-in for Mesos' launch helper: waits for the agent's go, runs the container's command, and leaves the exit
status where an agent that recovers looks for it. Sets no limits and makes no namespaces."""

import json
import os
import pwd
import signal
import sys
from types import FrameType
from typing import Any

ENV = os.environ
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_STARTED = 127


def wait_for_go() -> None:
    """The agent writes one byte once it has checkpointed the container's pid."""
    if "MESOS_CONTAINERIZER_PIPE_READ" not in ENV:
        return
    read, write = (int(ENV[f"MESOS_CONTAINERIZER_PIPE_{end}"]) for end in ("READ", "WRITE"))
    os.close(write)
    if len(os.read(read, 1)) != 1:
        sys.exit("the agent went away before the container was started")
    os.close(read)


def variables(message: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in message.get("environment", {}).get("variables", [])}


def become(info: dict[str, Any]) -> None:
    """The child's part: does not return."""
    command = info["command"]
    environ = {"PATH": ENV.get("PATH", PATH), **variables(info), **variables(command)}
    if folder := info.get("working_directory"):
        os.chdir(folder)
    if (user := info.get("user")) and pwd.getpwnam(user).pw_uid != os.geteuid():
        entry = pwd.getpwnam(user)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if command.get("shell", True):
        os.execvpe("sh", ["sh", "-c", command["value"]], environ)
    os.execvpe(command["value"], command.get("arguments") or [command["value"]], environ)


def main() -> int:
    info = json.loads(ENV["MESOS_CONTAINERIZER_LAUNCH_INFO"])
    wait_for_go()
    child = os.fork()
    if child == 0:
        try:
            become(info)
        except Exception as error:
            print("not started:", error, file=sys.stderr, flush=True)
        finally:
            os._exit(NOT_STARTED)

    def pass_on(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    _, status = os.waitpid(child, 0)
    if folder := ENV.get("MESOS_CONTAINERIZER_RUNTIME_DIRECTORY"):
        with open(os.path.join(folder, "status"), "w") as file:  # noqa: PTH118, PTH123
            file.write(str(status))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


sys.exit(main())
