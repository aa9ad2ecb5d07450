"""A second scheduler beside the installed one, on the same host: another framework name, folder and port.

Knows how to run km as the installed unit does: same user, same flags file, more flags behind it. Its folder and unit
are removed afterwards, its framework too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import Ended
from tests.scenarios.waiting import until

USER = "kmsched"
UNIT = "km-second"
PORT = 10299
SECOND_PAGES = f"http://127.0.0.1:{PORT}"
#: no refusal may take longer; then `timeout` ends the process with code 124
REFUSED_S = 60
#: what a page is to say is there by then
TOLD_S = 60.0


@dataclass(frozen=True, slots=True)
class Second:
    cluster: Cluster
    name: str = "second"
    folder: str = "/var/tmp/km-second"

    @property
    def state_dir(self) -> str:
        return f"{self.folder}/state"

    def prepare(self) -> None:
        self.remove()
        for path in (self.folder, self.state_dir):
            self._must("install", "-d", "-m", "0700", "-o", USER, path)

    def remove(self) -> None:
        host = self.cluster.scheduler_host
        self.cluster.hosts.run(host, "systemctl", "stop", UNIT)
        self.cluster.hosts.run(host, "systemctl", "reset-failed", UNIT)
        self._must("rm", "-rf", self.folder)
        for framework in self.cluster.mesos.state()["frameworks"]:
            if framework["name"] == self.name:
                self.cluster.mesos.teardown(framework["id"])

    def write(self, path: str, text: str, mode: str = "0600", owner: str = USER) -> None:
        """A file below the folder."""
        self.cluster.hosts.write(self.cluster.scheduler_host, f"{self.folder}/{path}", text, mode, owner)

    def km(self, *arguments: str) -> Ended:
        """Runs km as the scheduler's user until it ends, or for REFUSED_S."""
        command = ["setpriv", f"--reuid={USER}", "--regid", USER, "--clear-groups"]
        command += ["env", "KM_CACHE=/var/cache/kmsched", "timeout", str(REFUSED_S), "km", *arguments]
        return self.cluster.hosts.run(self.cluster.scheduler_host, *command)

    def run(self, *flags: str) -> Ended:
        """Runs `km scheduler` in the foreground; `flags` win over those of the second scheduler."""
        return self.km("scheduler", *self._flags(flags))

    def start(self, *flags: str) -> None:
        """Runs `km scheduler` as a unit that systemd does not start again."""
        self.cluster.hosts.run(self.cluster.scheduler_host, "systemctl", "reset-failed", UNIT)
        properties = [f"User={USER}", "Environment=KM_CACHE=/var/cache/kmsched", "RemainAfterExit=no"]
        command = ["systemd-run", f"--unit={UNIT}", *(f"--property={each}" for each in properties)]
        self._must(*command, "/usr/local/bin/km", "scheduler", *self._flags(flags))

    def wait_ready(self) -> None:
        until(lambda: self.cluster.page("/readyz", SECOND_PAGES).status == 200, TOLD_S, "the second scheduler is ready")

    def wait_told(self, words: str) -> None:
        """Until /readyz says them, and that it is not ready."""

        def told() -> bool:
            reply = self.cluster.page("/readyz", SECOND_PAGES)
            reasons = reply.json()["reasons"]
            if not any(words in reason for reason in reasons):
                raise ValueError(f"{reply.status}: {reasons}")
            return reply.status == 503

        until(told, TOLD_S, f"/readyz says {words!r}")

    def is_active(self) -> bool:
        return self.cluster.hosts.run(self.cluster.scheduler_host, "systemctl", "is-active", "-q", UNIT).code == 0

    def exit_code(self) -> int:
        return int(self._must("systemctl", "show", "-P", "ExecMainStatus", UNIT))

    def log(self) -> str:
        return self.cluster.hosts.journal(self.cluster.scheduler_host, UNIT)

    def _flags(self, flags: Sequence[str]) -> list[str]:
        own = {
            "framework-name": self.name,
            "scheduler-name": self.name,
            "state-dir": self.state_dir,
            "port": str(PORT),
        }
        given = {flag.split("=", 1)[0].removeprefix("--") for flag in flags}
        named = [f"--{name}={value}" for name, value in own.items() if name not in given]
        return ["--flags-file=/etc/kmsched/scheduler.flags", *named, *flags]

    def _must(self, *command: str) -> str:
        return self.cluster.hosts.must(self.cluster.scheduler_host, *command)
