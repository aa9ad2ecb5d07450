"""kmsched as the scenarios get it: bin/km as it was built, installed by Ansible and by nothing else.

Knows how to run playbooks and how to see which km file hosts have. An installed file other than bin/km means a testbed
made anew: executors of another fingerprint would take no pods until they have been idle for long.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from testbed import inventory
from testbed.settings import Settings
from tests.scenarios.hosts import Hosts

ROOT = Path(__file__).resolve().parents[2]
KM = ROOT / "bin/km"
#: on agents: what executors run, if it was copied, and the small hadoop
KM_FOLDERS = ("/var/lib/km/artifacts", "/usr/local/lib/kmsched")
PLAYBOOK_S = 600.0
BUILD_S = 300.0
#: scenarios come with another km than the last ones, and with other flags
MAY_CHANGE_EXECUTORS = "km_scheduler_rollout_policy=manual"
#: also where the inventory tells of HDFS
COPIED = ("-e", "km_artifact_hdfs_uri=")
#: in the command line of an executor's process
EXECUTOR = "/km executor "
RECAP = re.compile(r"^(\S+)\s*: (ok=.*)$", re.MULTILINE)
Recap = dict[str, dict[str, int]]


def sha256() -> str:
    """Of bin/km, which must have been built."""
    assert KM.is_file(), f"{KM} is not there; run: make km"
    return hashlib.sha256(KM.read_bytes()).hexdigest()


def another_build(folder: Path, version: str) -> Path:
    """A km file that was built like bin/km, of the same sources but for their version."""
    sources = folder / "sources"
    for name in ("kmsched", "requirements"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", sources)
    init = sources / "kmsched/__init__.py"
    init.write_text(re.sub('__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
    made = folder / "km"
    command = [sys.executable, "-m", "kmsched.artifacts.bundle", "--output", str(made)]
    subprocess.run(command, check=True, cwd=sources, env={**os.environ, "PYTHONPATH": ""}, timeout=BUILD_S)
    return made


def installed(hosts: Hosts, schedulers: list[str], agents: list[str]) -> set[str]:
    """SHA-256 of each km file that hosts run, "" for hosts without one."""
    found = set()
    for host in schedulers:
        found.add(_sha_in(hosts.run(host, "readlink", "/usr/local/bin/km").text))
    for host in agents:
        files = hosts.run(host, "find", *KM_FOLDERS, "-name", "km").text.splitlines()
        found |= {_sha_in(each) for each in files} - {""} or {""}  # the folders that are not there are told, too
    return found


def unwrapped(output: str) -> str:
    """Ansible breaks long lines, and doubles quotes in them."""
    return " ".join(output.split()).replace("''", "'")


def copied(hosts: Hosts, scheduler: str) -> bool:
    """Whether executors run files that Ansible has copied onto the agents, not HDFS's."""
    return "--km-path=file:" in hosts.run(scheduler, "cat", "/etc/kmsched/scheduler.flags").text


def _sha_in(text: str) -> str:
    match = re.search(r"\b[0-9a-f]{64}\b", text)
    return match[0] if match else ""


def playbook(settings: Settings, *more: str) -> tuple[Recap, str]:
    """Runs deploy.yml against the testbed; what each host counted, and the whole output.

    Raises AssertionError with the end of the output if the playbook fails.
    """
    return play(settings, "deploy.yml", "-e", MAY_CHANGE_EXECUTORS, *more)


def play(settings: Settings, name: str, *more: str, code: int = 0) -> tuple[Recap, str]:
    """The same for any playbook, which must end with this code."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory.path(settings)), name, *more]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PLAYBOOK_S,
    )
    assert done.returncode == code, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-6000:]}"
    recap = {
        host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in RECAP.findall(done.stdout)
    }
    assert recap, done.stdout[-6000:]
    return recap, done.stdout
