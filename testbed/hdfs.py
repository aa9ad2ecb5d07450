"""HDFS on the lab's own address: daemons as processes that can be killed, paused and started, one by one.

Knows how to tell that a daemon serves and which NameNode is active, and how another one becomes it; nothing of files.
Everything lies in STATE/hdfs, the data too, until the testbed goes down.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from testbed import cache, cgroups, hdfs_layout, hdfs_tls, network, processes
from testbed.errors import LabError, UsageError
from testbed.hadoop import Release
from testbed.hdfs_layout import Layout, Part
from testbed.probe import Machine
from testbed.settings import Settings

GROUP = "hdfs"
READY_S = 90.0
ANSWER_S = 2.0
COMMAND_S = 60.0
END_S = 10.0
POLL_S = 0.2
STATE_MIB = 2000
SUPERUSER = "root"
#: in the words of a NameNode that will not leave safe mode by itself
BY_HAND = "turned on manually"
#: who publishes artifacts, and where
PUBLISHER, ARTIFACTS = "kmsched", "/artifacts"
#: folder -> (mode, owner), made once
FOLDERS = {"/tmp": ("1777", SUPERUSER), ARTIFACTS: ("755", PUBLISHER), f"/user/{PUBLISHER}": ("755", PUBLISHER)}
#: what Hadoop takes from its environment must not come from the caller's
FOREIGN = ("HADOOP_", "JAVA_", "_JAVA_", "JDK_JAVA_")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Hdfs:
    """The HDFS of one testbed."""

    settings: Settings
    machine: Machine
    release: Release

    @property
    def layout(self) -> Layout:
        return layout_of(self.settings)

    # --- one daemon

    def is_on(self, part: Part) -> bool:
        return processes.noted(pid_file(self.layout, part)) is not None

    def is_paused(self, part: Part) -> bool:
        found = processes.noted(pid_file(self.layout, part))
        return found is not None and processes.is_stopped(found.pid)

    def start(self, part: Part) -> None:
        """Starts the daemon, if it is off; it does not serve yet."""
        if self.is_on(part):
            return
        log, file = log_file(self.layout, part), pid_file(self.layout, part)
        for folder in (log.parent, file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        group = cgroups.make(self.machine, self.settings, GROUP)
        command = [*entered(self.settings), *self.release.command(part.program, self.layout.configuration(part))]
        processes.note(file, processes.spawn(cgroups.into(group, command), log, own_environment()))

    def kill(self, part: Part) -> None:
        """SIGKILL, also of one that is paused."""
        processes.end(pid_file(self.layout, part), signal.SIGKILL, END_S)

    def pause(self, part: Part) -> None:
        self._signal(part, signal.SIGSTOP)

    def resume(self, part: Part) -> None:
        self._signal(part, signal.SIGCONT)

    def _signal(self, part: Part, number: signal.Signals) -> None:
        found = processes.noted(pid_file(self.layout, part))
        if found is None:
            raise LabError(f"{part.name} is not running; run: python3 -m testbed hdfs start {part.name}")
        os.kill(found.pid, number)

    def wait(self, part: Part) -> None:
        """Until the daemon serves.

        Raises:
            LabError: it ends, or does not serve within READY_S; with the end of its log.
        """

        def serves() -> bool:
            if not self.is_on(part):
                raise LabError(f"{part.name} ended while it started:\n{self._complaints(part)}")
            return self.serves(part)

        if not processes.wait_until(serves, READY_S, POLL_S):
            raise LabError(f"{part.name}: does not serve after {READY_S:.0f} s:\n{self._complaints(part)}")

    def serves(self, part: Part) -> bool:
        if part.program == "journalnode":
            return self._inside(partial(listens, self.layout.address, hdfs_layout.rpc_port(part)))
        if part.program == "namenode":
            return self.state(part) in ("active", "standby")
        actors = json.loads(self._bean(part, "DataNode", "DataNodeInfo").get("BPServiceActorInfo", "[]"))
        return any(a["ActorState"] == "RUNNING" and a.get("NamenodeHaState") == "active" for a in actors)

    def _complaints(self, part: Part) -> str:
        log = log_file(self.layout, part)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return processes.tail("\n".join(line for line in lines if " INFO " not in line))

    # --- NameNodes

    def state(self, part: Part) -> str:
        """active, standby, initializing; empty: no answer."""
        return str(self._bean(part, "NameNode", "NameNodeStatus").get("State", ""))

    def active(self) -> Part | None:
        found = [part for part in self.layout.of("namenode") if self.is_on(part) and not self.is_paused(part)]
        return next((part for part in found if self.state(part) == "active"), None)

    def activate(self, part: Part) -> None:
        """Makes this NameNode the active one; the other one is not asked if it is dead, and killed if it is paused.

        Raises:
            UsageError: it is no NameNode.  LabError: it does not become active.
        """
        if part.program != "namenode":
            raise UsageError(f"{part.name} is no NameNode")
        self.wait(part)
        (other,) = (each for each in self.layout.of("namenode") if each != part)
        if self.state(part) == "active":
            return
        if self.is_paused(other):
            self.kill(other)  # fencing: it would still take itself for the active one
        if not self.is_on(other):
            words = ["-transitionToActive", "--forceactive", part.name]
        elif self.state(other) == "active":
            words = ["-failover", other.name, part.name]
        else:
            words = ["-transitionToActive", part.name]
        # fencing is in the configuration of daemons only
        self._run("haadmin", words, self.layout.configuration(part), SUPERUSER)

    def is_settled(self) -> bool:
        """Some NameNode is active and out of safe mode, and has heard of each DataNode that runs."""
        if (leader := self.active()) is None:
            return False
        running = [part for part in self.layout.of("datanode") if self.is_on(part)]
        alive = int(self._bean(leader, "NameNode", "FSNamesystemState").get("NumLiveDataNodes", 0))
        return not self._safe_mode(leader) and alive >= len(running) and all(self.serves(part) for part in running)

    def _safe_mode(self, leader: Part | None) -> str:
        """Why the NameNode takes no changes; empty: it does."""
        if leader is None:
            return "there is none"
        return str(self._bean(leader, "NameNode", "NameNodeInfo").get("Safemode", "no answer"))

    # --- as a client

    def run(self, *words: str, user: str = SUPERUSER) -> str:
        """What Hadoop's own client prints; `words` start with one of its commands.

        Raises:
            LabError: it fails.
        """
        return self._run(words[0], words[1:], self.layout.client, user)

    def _run(self, program: str, words: Sequence[str], configuration: Path, user: str) -> str:
        command = [*entered(self.settings), *self.release.command(program, configuration, *words)]
        return processes.output(command, COMMAND_S, {**own_environment(), "HADOOP_USER_NAME": user})

    def call(self, method: str, path: str, operation: str, **query: str) -> dict[str, Any]:
        """One call of WebHDFS at the active NameNode, as the superuser.

        Raises:
            LabError: there is none, or it refuses.
        """
        if (leader := self.active()) is None:
            raise LabError("no NameNode is active; run: python3 -m testbed hdfs active nn1")
        asked = "&".join(
            f"{name}={value}" for name, value in {"op": operation, **query, "user.name": SUPERUSER}.items()
        )
        request = urllib.request.Request(f"{self.layout.http(leader)}/webhdfs/v1{path}?{asked}", method=method)
        try:
            text = self._inside(partial(_answer, request, COMMAND_S))
        except urllib.error.HTTPError as error:
            raise LabError(f"HDFS refuses {operation} of {path}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise LabError(f"{operation} of {path}: {error}") from error
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    # --- all of it

    def up(self) -> None:
        """Starts what is off, resumes what is paused, ends safe mode, and waits until files can be written."""
        self.settings.state.mkdir(parents=True, exist_ok=True)
        layout = self.layout
        if fresh := not _formatted(layout).exists():
            cache.require_free_disk([(self.settings.root, STATE_MIB, "HDFS")])
            self._drop()
            hdfs_tls.make(layout.tls, layout.address)
        hdfs_layout.write(layout)
        for part in layout.parts:
            if self.is_paused(part):
                self.resume(part)
        for part in layout.of("journalnode"):
            self.start(part)
        for part in layout.of("journalnode"):
            self.wait(part)
        if fresh:
            self._format()
        for part in (*layout.of("namenode"), *layout.of("datanode")):
            self.start(part)
        for part in layout.of("namenode"):
            self.wait(part)
        if self.active() is None:
            self.activate(layout.of("namenode")[0])
        if BY_HAND in self._safe_mode(self.active()):
            self.run("dfsadmin", "-safemode", "leave")
        if not processes.wait_until(self.is_settled, READY_S, POLL_S):
            raise LabError(f"HDFS is not ready after {READY_S:.0f} s; look at {layout.folder / 'log'}")
        if fresh:
            for folder, (mode, owner) in FOLDERS.items():
                self.call("PUT", folder, "MKDIRS", permission=mode)
                self.call("PUT", folder, "SETOWNER", owner=owner, group=owner)
            _formatted(layout).touch()

    def _drop(self) -> None:
        """What an `up` has left that was interrupted before HDFS was whole."""
        for part in self.layout.parts:
            self.kill(part)
        if (data := self.layout.folder / "data").exists():
            cache.remove_tree(data)

    def _format(self) -> None:
        first, second = self.layout.of("namenode")
        command = [*self.release.command("namenode", self.layout.configuration(first))]
        command += ["-format", "-nonInteractive", "-clusterId", self.settings.name]
        processes.output([*entered(self.settings), *command], COMMAND_S, own_environment())
        # a new standby starts as a copy
        shutil.copytree(self.layout.data(first), self.layout.data(second))

    def missing(self) -> list[str]:
        """Daemons that are off or paused; or that none of the NameNodes is active and takes changes."""
        absent = [part.name for part in self.layout.parts if not self.is_on(part) or self.is_paused(part)]
        return absent if absent or not self._safe_mode(self.active()) else ["active NameNode that takes changes"]

    def lines(self) -> list[str]:
        """A line for each daemon."""
        found = []
        for part in self.layout.parts:
            noted = processes.noted(pid_file(self.layout, part))
            role = self.state(part) if part.program == "namenode" and noted and not self.is_paused(part) else ""
            state = "off" if noted is None else "paused" if self.is_paused(part) else "on"
            found.append(f"{part.name:<24} {state}{f'  pid={noted.pid}  {role}' if noted else ''}".rstrip())
        return found

    # --- asking

    def _bean(self, part: Part, service: str, name: str) -> dict[str, Any]:
        """A bean of the daemon's /jmx; empty: no answer."""
        url = f"{self.layout.http(part)}/jmx?qry=Hadoop:service={service},name={name}"
        with contextlib.suppress(OSError, ValueError, LookupError):
            found: dict[str, Any] = json.loads(self._inside(partial(_answer, urllib.request.Request(url), ANSWER_S)))
            return dict(found["beans"][0])
        return {}

    def _inside(self, action: Callable[[], Result]) -> Result:
        return network.inside(self.settings, action)


def layout_of(settings: Settings) -> Layout:
    return Layout(settings.gateway, settings.state / "hdfs")


def pid_file(layout: Layout, part: Part) -> Path:
    return layout.folder / "run" / f"{part.name}.pid"


def log_file(layout: Layout, part: Part) -> Path:
    return layout.folder / "log" / f"{part.name}.log"


def _formatted(layout: Layout) -> Path:
    """Is there once HDFS was whole for the first time."""
    return layout.folder / "formatted"


def entered(settings: Settings) -> list[str]:
    """In front of a command: on the lab's network."""
    return ["nsenter", f"--net={network.NETNS / network.lab(settings)}"]


def own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=ANSWER_S):
        return True
    return False


def _answer(request: urllib.request.Request, limit_s: float) -> bytes:
    with urllib.request.urlopen(request, timeout=limit_s) as answer:
        return bytes(answer.read())
