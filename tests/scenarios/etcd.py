"""The etcd that several schedulers share, as its operator has it: members on hosts, who of them leads, backups, keys.

Knows etcdctl, the unit and the files that the role `etcd` makes. It does not know what schedulers store there.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testbed import hosts
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

UNIT = "km-etcd"
CLIENT_PORT, PEER_PORT = 2379, 2380
DATA, KEYS = "/var/lib/km-etcd", "/etc/km-etcd"
#: below it are all records of the framework of the scenarios
RECORDS = "/kmsched/Kubernetes/"
BACKUP, RESTORED = "/var/tmp/km-etcd.backup", "/var/lib/km-etcd.restored"
#: the role's, so that a restored cluster is the same one
TOKEN = "kmsched"
ANSWER = "5s"
LED_S, WHOLE_S = 30.0, 60.0


@dataclass(frozen=True, slots=True)
class Etcd:
    cluster: Cluster
    members: tuple[str, ...]

    def ctl(self, at: Sequence[str], *words: str, user: str = "root") -> str:
        """etcdctl on the first host of `at`, asking the members on all of them; OSError: it fails.

        `user` "": nobody, who may ask for what concerns no keys, and needs no quorum for that.
        """
        settings = self.cluster.settings
        password = (settings.state / "km-etcd-secrets/root.password").read_text().strip()
        environ = {
            "ETCDCTL_API": "3",
            "ETCDCTL_CACERT": f"{KEYS}/ca.crt",
            "ETCDCTL_CERT": f"{KEYS}/member.crt",
            "ETCDCTL_KEY": f"{KEYS}/member.key",
            **({"ETCDCTL_USER": f"{user}:{password}"} if user else {}),
            "ETCDCTL_ENDPOINTS": ",".join(self._url(host, CLIENT_PORT) for host in at),
        }
        given = [f"{name}={value}" for name, value in environ.items()]
        done = self.cluster.hosts.run(at[0], "env", *given, "etcdctl", f"--command-timeout={ANSWER}", *words)
        if done.code:
            raise OSError(f"{at[0]}: etcdctl {' '.join(words)}: exit code {done.code}: {done.text[-1000:]}")
        return done.text

    # --- who leads

    def _status(self, host: str) -> dict[str, Any]:
        answer = self.ctl([host], "endpoint", "status", "-w", "json", user="")
        # what went wrong elsewhere comes before it
        status: dict[str, Any] = json.loads(answer[answer.index("[") :])[0]["Status"]
        return status

    def leader(self) -> str:
        """The host of the member that leads. ValueError: none does."""
        for host in self.members:
            with contextlib.suppress(OSError):
                status = self._status(host)
                if status["leader"] == status["header"]["member_id"]:
                    return host
        raise ValueError("no member of etcd leads")

    def have_led_at(self, host: str) -> str:
        """Ask for the member on this host to lead; who leads then. Members of a busy machine vote as they like."""
        if (leader := until(self.leader, LED_S, "a member of etcd leads")) != host:
            with contextlib.suppress(OSError):
                self.ctl([leader], "move-leader", f"{self._status(host)['header']['member_id']:x}", user="")
            leader = until(self.leader, LED_S, "a member of etcd leads")
        return leader

    def wait_whole(self) -> None:

        def is_whole() -> bool:
            leaders = {host: self._status(host)["leader"] for host in self.members}
            if len(set(leaders.values())) != 1 or 0 in leaders.values():
                raise ValueError(f"leaders: {leaders}")
            return True

        until(is_whole, WHOLE_S, "all members of etcd follow one of them")

    # --- processes

    def send(self, host: str, number: signal.Signals) -> None:
        """To the member's process."""
        inner = self.cluster.hosts.main_pid(host, UNIT)
        assert inner, f"{host}: there is no member of etcd"
        os.kill(hosts.pid_outside(self.cluster.settings, self.cluster.machine, host, inner), number)

    def stop(self, *at: str) -> None:
        """Without asking, and without systemd starting them again."""
        for host in at:
            self.cluster.hosts.must(host, "systemctl", "kill", "--signal=KILL", UNIT)
            self.cluster.hosts.must(host, "systemctl", "stop", UNIT)

    def start(self, *at: str) -> None:
        for host in at:
            self.cluster.hosts.must(host, "systemctl", "start", "--no-block", UNIT)

    def heal(self) -> None:
        """Every member that is away or frozen."""
        for host in self.members:
            if self.cluster.hosts.main_pid(host, UNIT):
                self.send(host, signal.SIGCONT)
            else:
                self.cluster.hosts.must(host, "systemctl", "reset-failed", UNIT)
                self.start(host)

    # --- records

    def stored(self, key: str = "") -> dict[str, dict[str, Any]]:
        """Key -> value and revisions, of one record or of all; without the records' prefix."""
        answer = json.loads(self.ctl(self.members, "get", "--prefix", f"{RECORDS}{key}", "-w", "json"))
        found = {base64.b64decode(each["key"]).decode(): each for each in answer.get("kvs", ())}
        return {
            name.removeprefix(RECORDS): {**each, "value": base64.b64decode(each.get("value", "")).decode()}
            for name, each in found.items()
        }

    def delete(self, key: str) -> None:
        """A record, or all of them for ""."""
        words = ["--prefix", RECORDS] if not key else [RECORDS + key]
        self.ctl(self.members, "del", *words)

    def save(self) -> str:
        """A backup as etcd makes them, as text."""
        self.ctl(self.members[:1], "snapshot", "save", BACKUP)
        return self.cluster.hosts.must(self.members[0], "base64", "-w0", BACKUP)

    def restore(self, backup: str) -> None:
        """Every member ends, and begins again with what was saved."""
        named = ",".join(f"{host}={self._url(host, PEER_PORT)}" for host in self.members)
        self.stop(*self.members)
        for host in self.members:
            self.cluster.hosts.must(host, "sh", "-c", f"base64 -d > {BACKUP}", stdin=backup)
            self.cluster.hosts.must(host, "rm", "-rf", f"{DATA}/member", RESTORED)
            self.cluster.hosts.must(
                host, "env", "ETCDCTL_API=3", "etcdctl", "snapshot", "restore", BACKUP, f"--data-dir={RESTORED}",
                f"--name={host}", f"--initial-cluster={named}", f"--initial-cluster-token={TOKEN}",
                f"--initial-advertise-peer-urls={self._url(host, PEER_PORT)}",
            )  # fmt: skip
            self.cluster.hosts.must(host, "mv", f"{RESTORED}/member", f"{DATA}/member")
            self.cluster.hosts.must(host, "chown", "-R", "etcd:etcd", DATA)
        self.start(*self.members)
        self.wait_whole()

    def _url(self, host: str, port: int) -> str:
        return f"https://{self.cluster.settings.address(host)}:{port}"
