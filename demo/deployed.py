"""Whether what Ansible would put on the hosts is there already: a stamp of its inputs, and a scheduler that is ready.

Knows which files the playbook reads. The stamp lies in the testbed's state folder, so that it goes with the hosts.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.steps import StepFailed

STAMP = "demo-deployed"
INPUTS = ("deploy.yml", "ansible.cfg", "playbooks", "plugins", "roles", "bin/km")
ANSWER_LIMIT_S = 30.0
READY_LIMIT_S = 60.0
#: agents are known by what they offer
AGENTS_LIMIT_S = 15.0
SCHEDULER = "s1"
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


def end_old_executors(root: Path, agents: Sequence[str]) -> list[str]:
    """Agents whose executor is of another fingerprint, and was asked to end.

    Such an agent takes no new pods until its executor has left. Containers run on, and the next executor adopts them.
    """
    found = []
    for each in _known_agents(root, len(agents)):
        host = each["hostname"]
        if not each["compatible"] and on_host(root, host, "pkill", "-TERM", "--full", EXECUTOR).returncode == 0:
            found.append(host)
    return found


def _known_agents(root: Path, count: int) -> list[dict[str, Any]]:
    """What the scheduler tells of agents, once it knows so many, or for a while."""
    deadline = time.monotonic() + AGENTS_LIMIT_S
    while True:
        done = on_host(root, SCHEDULER, "km", "agents", "--json")
        found: list[dict[str, Any]] = json.loads(done.stdout)["agents"] if done.returncode == 0 else []
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


def not_ready(root: Path) -> str:
    """Why the scheduler is not ready, in its own words; "" if it is."""
    done = on_host(root, SCHEDULER, "km", "status", "--json")
    if done.returncode != 0:
        return done.stderr.strip() or f"km status: exit code {done.returncode}"
    answer = json.loads(done.stdout)
    return "" if answer["ready"] else "; ".join(answer["reasons"]) or "it gives no reason"


def wait_ready(root: Path) -> None:
    """Raises StepFailed with the scheduler's reason."""
    deadline = time.monotonic() + READY_LIMIT_S
    while reason := not_ready(root):
        if time.monotonic() > deadline:
            raise StepFailed(
                f"the scheduler is not ready after {READY_LIMIT_S:.0f} s: {reason}\n"
                "  its log: python3 -m testbed run s1 journalctl --unit km-scheduler"
            )
        time.sleep(ASK_EVERY_S)


def explain(root: Path, pod_key: str) -> str:
    """What `km explain` says of a pod. Raises StepFailed."""
    done = on_host(root, SCHEDULER, "km", "explain", pod_key)
    if done.returncode != 0:
        raise StepFailed(f"km explain {pod_key}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
