"""Several schedulers on hosts of their own, as seen from outside: who leads, sudden ends, and when a successor acted.

Knows their two open pages, their processes on this machine, and the Mesos master's log. Times are wall time in
seconds, which all hosts of a testbed share. Whether something is right is for the trials to say.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from testbed import hosts, lifecycle, network
from tests.scenarios import lab
from tests.scenarios.cluster import Cluster
from tests.scenarios.etcd import Etcd
from tests.scenarios.hosts import SCHEDULER_UNIT, Ended
from tests.scenarios.waiting import until

PORT = 10251
PAGE_S = 2.0
WHOLE_S = 90.0
LOOK_S = 0.01
#: no command of km may take longer; then `timeout` ends it with code 124
KM_S = 60
ENDED_S = 60.0
USER, CACHE = "kmsched", "/var/cache/kmsched"
HOST_FLAGS, ADDED = "/etc/kmsched/host.flags", "# of a scenario\n"
#: lines of the master's log that a subscription and an accepted call leave, after a time of the day
LOGGED = re.compile(r"^I\d{4} (\d\d):(\d\d):([\d.]+) +\d+ \S+\] (.*)$")
SUBSCRIBED = re.compile(r"Subscribing framework ")
CALLED = re.compile(r"Performing (im|ex)plicit task state reconciliation|Processing (ACCEPT|REVIVE|DECLINE|SUPPRESS)")
ACCEPTED = re.compile(r"Processing ACCEPT")
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Calls:
    """When the master logged what, in seconds after the fault; None: not at all."""

    subscribed_s: float | None
    called_s: float | None
    accepted_s: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """`ttl_s`: how long a lease lives without its holder, as the schedulers were told."""

    cluster: Cluster
    ttl_s: int = 5

    @property
    def hosts(self) -> list[str]:
        return list(self.cluster.plan.hosts.schedulers)

    @property
    def etcd(self) -> Etcd:
        return Etcd(self.cluster, tuple(self.hosts))

    def page(self, host: str, path: str = "/leader", limit_s: float = PAGE_S) -> lab.Reply | None:
        """None: nobody answers."""
        settings = self.cluster.settings
        try:
            return lab.ask(settings, f"http://{settings.address(host)}:{PORT}{path}", limit_s=limit_s)
        except (OSError, http.client.HTTPException):
            return None

    def told(self, host: str) -> dict[str, Any]:
        """What the scheduler there says of itself and of the group; nothing if nobody answers."""
        reply = self.page(host)
        return dict(reply.json()) if reply is not None else {}

    def heard(self, host: str) -> dict[str, Any]:
        """The same of a scheduler that is there, however busy its host is."""
        return until(lambda: self.told(host), WHOLE_S, f"the scheduler on {host} answers", 0.1)

    def leaders(self) -> list[str]:
        replies = {host: self.page(host) for host in self.hosts}
        return [host for host, reply in replies.items() if reply is not None and reply.status == 200]

    def leader(self) -> str:
        """ValueError: there is not exactly one."""
        [found] = self.leaders()
        return found

    def wait_whole(self, limit_s: float = WHOLE_S) -> str:
        """The leader's host, once one leads and all others stand by, ready to follow."""

        def is_whole() -> str:
            told = {host: self.told(host) for host in self.hosts}
            if wrong := {host: each.get("reasons", "silent") for host, each in told.items() if not each.get("ready")}:
                raise ValueError(f"not ready: {wrong}")
            roles = sorted(str(each["role"]) for each in told.values())
            if roles != ["active", *["standby"] * (len(roles) - 1)]:
                raise ValueError(f"roles: {roles}")
            return self.leader()

        return until(is_whole, limit_s, "one scheduler leads and the others stand by", 0.1)

    def wait_successor(self, old: str, limit_s: float, looks_at: list[str] | None = None) -> str:
        """Another host than `old`, as soon as its scheduler says that it leads."""
        others = [host for host in looks_at or self.hosts if host != old]

        def found() -> str | None:
            replies = {host: self.page(host, limit_s=0.5) for host in others}
            return next((host for host, reply in replies.items() if reply is not None and reply.status == 200), None)

        successor = until(found, limit_s, f"another than {old} leads", LOOK_S)
        assert successor is not None
        return successor

    # --- processes and hosts

    def set_flags(self, *flags: str) -> None:
        """All schedulers have these and no others beside those of the deployment; returns when the group is whole."""
        wanted = "".join(f"{each}\n" for each in flags)
        for host in self.hosts:
            deployed = self.cluster.hosts.must(host, "cat", HOST_FLAGS).partition(ADDED)[0]
            self.cluster.hosts.write(host, HOST_FLAGS, f"{deployed}{ADDED}{wanted}" if flags else deployed)
        self.units("restart")
        self.wait_whole()

    def units(self, verb: str, at: Sequence[str] = ()) -> None:
        """`systemctl VERB` for the schedulers on these hosts, or on all, all at the same moment."""
        command = ("systemctl", verb, "--no-block", SCHEDULER_UNIT)
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(self.cluster.hosts.must, host, *command) for host in at or self.hosts]
        for each in asked:
            each.result()

    def stop_all(self) -> None:
        """Returns when no scheduler is left."""
        self.units("stop")
        main_pid = self.cluster.hosts.main_pid
        until(lambda: not any(main_pid(host, SCHEDULER_UNIT) for host in self.hosts), ENDED_S, "all schedulers ended")

    def pid(self, host: str) -> int:
        """Of the scheduler's process, as seen from this machine."""
        inner = self.cluster.hosts.main_pid(host, SCHEDULER_UNIT)
        assert inner, f"{host}: there is no scheduler"
        return hosts.pid_outside(self.cluster.settings, self.cluster.machine, host, inner)

    def exit_codes(self, host: str, since_s: float) -> list[int]:
        """With which its processes have ended since this moment of wall time, as systemd has logged it."""
        found = re.findall(r"Main process exited, code=exited, status=(\d+)", self.journal(host, since_s))
        return [int(code) for code in found]

    def wait_ended(self, code: int, since_s: float) -> None:
        """Until every scheduler has ended with this code, and systemd leaves it at that."""

        def are_left() -> bool:
            show = ("systemctl", "show", "-p", "ActiveState,ExecMainStatus", SCHEDULER_UNIT)
            states = {host: set(self.cluster.hosts.must(host, *show).split()) for host in self.hosts}
            if any(each != {"ActiveState=failed", f"ExecMainStatus={code}"} for each in states.values()):
                raise ValueError(f"{states}")
            return True

        until(are_left, ENDED_S, f"all schedulers have ended with {code}")
        again = {host: codes for host in self.hosts if len(codes := self.exit_codes(host, since_s)) != 1}
        assert not again, f"systemd started them again: {again}"

    def journal(self, host: str, since_s: float) -> str:
        """What the scheduler there, and systemd of it, have logged since this moment of wall time."""
        command = ["journalctl", "--no-pager", "-o", "cat", "-u", SCHEDULER_UNIT, "--since", f"@{since_s:.3f}"]
        return self.cluster.hosts.must(host, *command)

    def km(self, host: str, *arguments: str) -> Ended:
        """Runs km with the schedulers' own flags, as their user, until it ends."""
        command = ["setpriv", f"--reuid={USER}", "--regid", USER, "--clear-groups", "env", f"KM_CACHE={CACHE}"]
        return self.cluster.hosts.run(host, *command, "timeout", str(KM_S), "km", *arguments)

    def cut_power(self, host: str) -> None:
        """Its cable first: a machine without power refuses no connection."""
        network.set_cable(self.cluster.settings, host, plugged=False)
        hosts.kill(self.cluster.settings, self.cluster.machine, host)

    def heal(self) -> None:
        """Cables, hosts and units; returns when the group is whole."""
        settings = self.cluster.settings
        # before they boot: a member of etcd is up only when it has found the others
        for host in self.hosts:
            network.set_cable(settings, host, plugged=True)
            network.heal_links(settings, host)
        if lifecycle.missing(settings, self.cluster.plan):
            lifecycle.up(settings, None, None, None)
        self.etcd.heal()
        for host in self.hosts:
            pid = self.cluster.hosts.main_pid(host, SCHEDULER_UNIT)
            if pid:
                os.kill(hosts.pid_outside(settings, self.cluster.machine, host, pid), signal.SIGCONT)
            else:
                self.cluster.hosts.run(host, "systemctl", "reset-failed", SCHEDULER_UNIT)
                self.cluster.hosts.run(host, "systemctl", "start", "--no-block", SCHEDULER_UNIT)
        self.wait_whole()

    # --- the master's view

    def framework_ids(self) -> set[str]:
        """Of all frameworks of our name that the master has, active or not."""
        state = self.cluster.mesos.state()
        named = [each for each in state["frameworks"] if each["name"] == "Kubernetes"]
        return {each["id"] for each in named}

    def subscriptions(self, since_s: float) -> int:
        """How often a scheduler has subscribed with the master since this moment."""
        return sum(bool(SUBSCRIBED.search(words)) for _, words in self.master_log(since_s))

    def master_log(self, since_s: float) -> list[tuple[float, str]]:
        """What the leading master has written since this moment: seconds after it, and words."""
        command = ["journalctl", "--no-pager", "-o", "cat", "-u", "mesos-master", "--since", f"@{int(since_s) - 1}"]
        lines = self.cluster.hosts.must("m1", *command).splitlines()
        return [(at, words) for line in lines if (found := _logged(line, since_s)) for at, words in [found] if at > 0]

    def calls(self, since_s: float) -> Calls:
        """What the leading master has logged of subscriptions and calls after this moment."""
        logged = self.master_log(since_s)
        subscribed = next((at for at, words in logged if SUBSCRIBED.search(words)), None)
        after = [(at, words) for at, words in logged if subscribed is not None and at >= subscribed]
        return Calls(
            subscribed,
            next((at for at, words in after if CALLED.search(words)), None),
            next((at for at, words in after if ACCEPTED.search(words)), None),
        )


def _logged(line: str, since_s: float) -> tuple[float, str] | None:
    """Seconds after `since_s`, and the words; glog tells the time of the day alone."""
    if (match := LOGGED.match(line)) is None:
        return None
    of_day = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    began = time.gmtime(since_s)
    start = began.tm_hour * 3600 + began.tm_min * 60 + began.tm_sec + since_s % 1
    after = of_day - start
    return (after + DAY_S if after < -DAY_S / 2 else after), match[4]
