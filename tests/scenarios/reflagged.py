"""The installed scheduler with more flags, as an operator gives them: its unit gets another command line for a while.

Knows systemd's drop-ins below /run. The flags come behind the flags files, so they win.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT

DROP_IN = f"/run/systemd/system/{SCHEDULER_UNIT}.service.d/scenario.conf"
COMMAND = re.compile(r"^ExecStart=(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reflagged:
    cluster: Cluster
    command: str

    def restart(self, *flags: str) -> str:
        """With these flags and no others of the scenario; its fingerprint, once it is ready."""
        host, hosts = self.cluster.scheduler_host, self.cluster.hosts
        line = " ".join([self.command, *flags])
        hosts.write(host, DROP_IN, f"[Service]\nExecStart=\nExecStart={line}\n")
        return self._restarted()

    def undo(self) -> str:
        self.cluster.hosts.must(self.cluster.scheduler_host, "rm", "-f", DROP_IN)
        return self._restarted()

    def _restarted(self) -> str:
        self.cluster.hosts.must(self.cluster.scheduler_host, "systemctl", "daemon-reload")
        self.cluster.systemctl("restart")
        self.cluster.wait_ready()
        found: str = self.cluster.page("/readyz").json()["fingerprint"]
        return found


@contextlib.contextmanager
def reflagged(cluster: Cluster) -> Iterator[Reflagged]:
    unit = cluster.hosts.must(cluster.scheduler_host, "systemctl", "cat", SCHEDULER_UNIT)
    (command,) = COMMAND.findall(unit)
    made = Reflagged(cluster, command)
    try:
        yield made
    finally:
        made.undo()
