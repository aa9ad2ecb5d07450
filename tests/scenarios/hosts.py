"""Inside the testbed's hosts: commands, containers as containerd has them, processes and their sudden ends.

Knows names of units and programs. Everything runs as root in the host's own namespaces, without ssh.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from testbed import hosts, probe
from testbed.settings import Settings

COMMAND_S = 120.0
SCHEDULER_UNIT = "km-scheduler"
#: what containerd says of each task, with the annotations that its CRI part gave the container
LOOK = r"""
set -e
ctr -n k8s.io task ls
cd /run/containerd/io.containerd.runtime.v2.task/k8s.io 2>/dev/null || exit 0
# the brace says that a file is there; one that ends meanwhile has none any more
grep -Hos -e '^{' -e '"io\.kubernetes\.cri\.[a-z-]*" *: *"[^"]*"' */config.json || :
"""
#: of a container's field, what CRI calls it
ANNOTATIONS = {"kind": "container-type", "pod_uid": "sandbox-uid", "namespace": "sandbox-namespace"}
NOTE = re.compile(r'^([^/]+)/config\.json:(?:{|"io\.kubernetes\.cri\.([a-z-]+)" *: *"(.*)")$')


@dataclass(frozen=True, slots=True)
class Container:
    """One that containerd runs. `kind`: container or sandbox; `host`: where."""

    id: str
    status: str
    kind: str
    pod_uid: str
    namespace: str
    host: str


def seen(text: str, host: str) -> list[Container]:
    """The containers in what LOOK has printed, but for those that have just ended.

    KeyError: CRI has not noted of one what it notes of each.
    """
    table, notes = [], dict[str, dict[str, str]]()
    for line in text.splitlines()[1:]:
        if note := NOTE.match(line):
            notes.setdefault(note[1], {})[note[2]] = note[3]
        else:
            table.append(line.split())
    return [
        Container(id=name, status=status, host=host, **{field: notes[name][key] for field, key in ANNOTATIONS.items()})
        for name, _, status in table
        if name in notes
    ]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended; `text` is everything it wrote."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Hosts:
    settings: Settings
    machine: probe.Machine

    def run(self, host: str, *command: str, limit_s: float = COMMAND_S, stdin: str | None = None) -> Ended:
        """Runs a command in the host. Raises subprocess.TimeoutExpired."""
        done = subprocess.run(
            hosts.enter(self.settings, self.machine, host, list(command)),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            input=stdin or "",
        )
        return Ended(done.returncode, done.stdout)

    def must(self, host: str, *command: str, stdin: str | None = None) -> str:
        """What the command wrote; AssertionError if it fails."""
        done = self.run(host, *command, stdin=stdin)
        assert done.code == 0, f"{host}: {' '.join(command)}: exit code {done.code}: {done.text[-2000:]}"
        return done.text

    def write(self, host: str, path: str, text: str, mode: str = "0644", owner: str = "root") -> None:
        self.must(host, "install", "-m", mode, "-o", owner, "-D", "/dev/stdin", path, stdin=text)

    def containers(self, names: Sequence[str], namespace: str = "") -> list[Container]:
        """What runs on these hosts, sandboxes too; of one Kubernetes namespace or of all."""
        found = []
        for host in names:
            found += seen(self.must(host, "sh", "-c", LOOK), host)
        return [each for each in found if not namespace or each.namespace == namespace]

    # --- processes

    def main_pid(self, host: str, unit: str) -> int:
        """Pid inside the host of the unit's main process; 0 while there is none."""
        return int(self.must(host, "systemctl", "show", "-P", "MainPID", unit))

    def restarts(self, host: str, unit: str) -> int:
        return int(self.must(host, "systemctl", "show", "-P", "NRestarts", unit))

    def kubelet_pid(self, host: str) -> int:
        """Pid inside the host; 0 while there is none."""
        return self._only(host, "kubelet")

    def proxy_pid(self, host: str) -> int:
        """Pid inside the host of kube-proxy; 0 while there is none."""
        return self._only(host, "kube-proxy")

    def _only(self, host: str, program: str) -> int:
        listed = [
            line.split() for line in self.run(host, "ps", "-C", program, "-o", "pid=", "-o", "ppid=").text.splitlines()
        ]
        pids = {pid for pid, _ in listed}
        # a child has its parent's name until it becomes the program that it was made for
        found = [pid for pid, parent in listed if parent not in pids]
        assert len(found) < 2, f"{host} runs more than one {program}: pids {found}"
        return int(found[0]) if found else 0

    def executor_pid(self, host: str) -> int:
        """kubelet's parent; 0 while there is none."""
        kubelet = self.kubelet_pid(host)
        # kubelet may end between the two questions
        found = self.run(host, "ps", "-o", "ppid=", "-p", str(kubelet)).text.split() if kubelet else []
        return int(found[0]) if found else 0

    def kill(self, host: str, pid: int) -> None:
        """SIGKILL."""
        assert pid > 1, f"{host}: there is no such process to kill"
        self.must(host, "kill", "-KILL", str(pid))

    def journal(self, host: str, unit: str, lines: int = 3000) -> str:
        return self.run(host, "journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", unit).text
