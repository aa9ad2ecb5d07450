"""Whether what Ansible would put on the hosts is there already: a stamp of its inputs, and one kind of executors.

Knows which files the playbook reads. The stamp lies in the testbed's state folder, so that it goes with the hosts.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo import schedulers
from demo.steps import StepFailed
from testbed.settings import Settings

STAMP = "demo-deployed"
INPUTS = ("deploy.yml", "ansible.cfg", "playbooks", "plugins", "roles", "bin/km")
ANSWER_LIMIT_S = 30.0
#: agents are known by what they offer
AGENTS_LIMIT_S = 15.0
#: in the command line of executors, wherever their km lies
EXECUTOR = "/km executor "
ASK_EVERY_S = 1.0


def digest(root: Path, inventory: Path) -> str:
    """SHA-256 over the names and contents of all that a deploy reads."""
    files = [inventory]
    for name in INPUTS:
        path = root / name
        found = path.rglob("*") if path.is_dir() else [path]
        files += sorted(each for each in found if each.is_file() and each.suffix != ".pyc")
    total = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file}\0{content}\n".encode())
    return total.hexdigest()


def is_stamped(state: Path, wanted: str) -> bool:
    stamp = state / STAMP
    return stamp.is_file() and stamp.read_text().strip() == wanted


def stamp(state: Path, wanted: str) -> None:
    (state / STAMP).write_text(f"{wanted}\n")


def unstamp(state: Path) -> None:
    (state / STAMP).unlink(missing_ok=True)


def end_old_executors(root: Path, settings: Settings, agents: Sequence[str]) -> list[str]:
    """Agents whose executor is of another fingerprint, and was asked to end.

    Such an agent takes no new pods until its executor has left. Containers run on, and the next executor adopts them.
    """
    found = []
    for each in _known_agents(settings, len(agents)):
        host = each["hostname"]
        if not each["compatible"] and on_host(root, host, "pkill", "-TERM", "--full", EXECUTOR).returncode == 0:
            found.append(host)
    return found


def _known_agents(settings: Settings, count: int) -> list[dict[str, Any]]:
    """What the leading scheduler tells of agents, once it knows so many, or for a while."""
    deadline = time.monotonic() + AGENTS_LIMIT_S
    while True:
        answer = schedulers.ask(settings, schedulers.leader(settings), "/api/v1/agents")
        found: list[dict[str, Any]] = answer.get("agents", [])
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(ASK_EVERY_S)


def on_host(root: Path, host: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in one of the testbed's hosts. Raises StepFailed if it does not end."""
    whole = [sys.executable, "-m", "testbed", "run", host, "--", *command]
    try:
        return subprocess.run(
            whole,
            check=False,
            capture_output=True,
            text=True,
            cwd=root,
            timeout=ANSWER_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{' '.join(command)} on {host}: no end after {ANSWER_LIMIT_S:.0f} s") from None


def explain(root: Path, host: str, pod_key: str) -> str:
    """What `km explain` on the host says of a pod. Raises StepFailed."""
    done = on_host(root, host, "km", "explain", pod_key)
    if done.returncode != 0:
        raise StepFailed(f"km explain {pod_key}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
