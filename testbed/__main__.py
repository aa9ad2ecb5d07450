"""The testbed's command line: `python3 -m testbed COMMAND` in the project's root folder."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from testbed import (
    apt,
    controlplane,
    hdfs_presence,
    hosts,
    inventory,
    lifecycle,
    network,
    peers,
    pki,
    plans,
    probe,
    processes,
)
from testbed.errors import LabError, UsageError
from testbed.settings import Settings, check_host_name, from_environment

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
Arguments = argparse.Namespace


def _build(settings: Settings, _: Arguments) -> int:
    for product, path in lifecycle.build_all(settings).items():
        print(f"{product}: {path}")
    return 0


def _install(_: Settings, __: Arguments) -> int:
    apt.install()
    return 0


def _up(settings: Settings, arguments: Arguments) -> int:
    lifecycle.up(settings, arguments.hosts, arguments.masters, arguments.schedulers, arguments.hdfs)
    return 0


def _down(settings: Settings, _: Arguments) -> int:
    lifecycle.down(settings)
    return 0


def _status(settings: Settings, _: Arguments) -> int:
    return 0 if lifecycle.status(settings) else EXIT_FAILED


def _kill(settings: Settings, arguments: Arguments) -> int:
    hosts.kill(settings, probe.machine(), check_host_name(arguments.host))
    return 0


def _stop(settings: Settings, arguments: Arguments) -> int:
    hosts.stop(settings, probe.machine(), check_host_name(arguments.host))
    return 0


def _start(settings: Settings, arguments: Arguments) -> int:
    machine, host = probe.machine(), check_host_name(arguments.host)
    hosts.start(settings, machine, host)
    hosts.wait_booted(settings, machine, host)
    return 0


def _cut(settings: Settings, arguments: Arguments) -> int:
    network.set_cable(settings, check_host_name(arguments.host), plugged=False)
    return 0


def _heal(settings: Settings, arguments: Arguments) -> int:
    network.set_cable(settings, check_host_name(arguments.host), plugged=True)
    return 0


def _command(arguments: Arguments) -> list[str]:
    """What to run; a shell if nothing was said."""
    given: list[str] = arguments.command
    return (given[1:] if given[:1] == ["--"] else given) or ["bash"]


def _run(settings: Settings, arguments: Arguments) -> int:
    command = hosts.enter(settings, probe.machine(), check_host_name(arguments.host), _command(arguments))
    os.execvp(command[0], command)


def _lab(settings: Settings, arguments: Arguments) -> int:
    lifecycle.must_be_up(settings)
    os.execvp("nsenter", ["nsenter", f"--net={network.NETNS / network.lab(settings)}", *_command(arguments)])


def _inventory(settings: Settings, _: Arguments) -> int:
    plans.must_find(settings)
    print(inventory.path(settings).read_text(), end="")
    return 0


def _kube(settings: Settings, arguments: Arguments) -> int:
    plan = plans.must_find(settings)
    if arguments.what == "kill":
        controlplane.kill(settings, arguments.part)
    else:
        programs = Path(plan.products["kubernetes"])
        controlplane.start(settings, probe.machine(), programs, arguments.part)
    return 0


def _hdfs(settings: Settings, arguments: Arguments) -> int:
    if arguments.what == "up":
        lifecycle.up_hdfs(settings)
        return 0
    storage = hdfs_presence.must_find(settings, probe.machine())
    part = storage.layout.part(arguments.part or "")
    actions = {"kill": storage.kill, "pause": storage.pause, "resume": storage.resume, "active": storage.activate}
    if arguments.what == "start":
        storage.start(part)
        storage.wait(part)
    else:
        actions[arguments.what](part)
    return 0


def _env(settings: Settings, _: Arguments) -> int:
    lifecycle.must_be_up(settings)
    exports = {}
    if (plan := plans.find(settings)) is not None:
        exports = {
            "KUBECONFIG": str(controlplane.admin(settings)),
            "MESOS_MASTER": peers.master_urls(settings, plan.hosts.masters),
            "ANSIBLE_INVENTORY": str(inventory.path(settings)),
        }
    if (storage := hdfs_presence.find(settings, probe.machine())) is not None:
        exports["HADOOP_CONF_DIR"] = str(storage.layout.client)
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(settings.state / "bin"))}:"$PATH"')
    return 0


def _user(settings: Settings, arguments: Arguments) -> int:
    plans.must_find(settings)
    print(pki.user(settings.kube, controlplane.server(settings), arguments.user, arguments.group))
    return 0


Options = dict[str, dict[str, Any]]
HOST: Options = {"host": {"help": "s1.. (scheduler), m1.. (Mesos master), h1.. (agent)"}}
COMMAND: Options = {
    "command": {"nargs": argparse.REMAINDER, "help": "the program and its arguments (default: a shell)"}
}
#: command -> (what does it, whether it changes the testbed and so takes its lock, help, arguments)
COMMANDS: dict[str, tuple[Callable[[Settings, Arguments], int], bool, str, Options]] = {
    "install": (_install, False, "add the apt packages that this machine lacks", {}),
    "build": (_build, False, "make everything that is cached", {}),
    "up": (
        _up,
        True,
        "bring up what is missing, build it if need be",
        {
            "--hosts": {"type": int, "metavar": "N", "help": "Mesos agents (default 3)"},
            "--masters": {"type": int, "metavar": "M", "help": "Mesos masters (default 1)"},
            "--schedulers": {"type": int, "metavar": "S", "help": "bare scheduler hosts (default 1)"},
            "--hdfs": {"action": "store_true", "help": "HDFS, too; it stays a part of the testbed until `down`"},
        },
    ),
    "down": (_down, True, "end and remove all of it; the build cache stays", {}),
    "status": (_status, False, "what is on; exit code 1 if something is missing", {}),
    "kill": (_kill, True, "power cut of a host", HOST),
    "start": (_start, True, "boot a host on its disk", HOST),
    "stop": (_stop, True, "shut a host down", HOST),
    "cut": (_cut, False, "pull a host's network cable", HOST),
    "heal": (_heal, False, "plug a host's network cable", HOST),
    "run": (_run, False, "run a command in a host, without ssh", {**HOST, **COMMAND}),
    "lab": (_lab, False, "run a command of this machine on the lab's network", COMMAND),
    "inventory": (_inventory, False, "print the Ansible inventory", {}),
    "kube": (
        _kube,
        True,
        "kill or start one part of the control plane",
        {"what": {"choices": ["kill", "start"]}, "part": {"help": ", ".join(controlplane.PARTS)}},
    ),
    "hdfs": (
        _hdfs,
        True,
        "bring HDFS up without the rest, or treat one of its daemons; active: make a NameNode the active one",
        {
            "what": {"choices": ["up", "kill", "start", "pause", "resume", "active"]},
            "part": {"nargs": "?", "help": "nn1, nn2, dn1 to dn3, jn1 to jn3"},
        },
    ),
    "env": (
        _env,
        False,
        "print shell exports: KUBECONFIG, MESOS_MASTER, ANSIBLE_INVENTORY, HADOOP_CONF_DIR, PATH",
        {},
    ),
    "user": (_user, True, "issue a kubeconfig and print its path", {"user": {}, "group": {"nargs": "*"}}),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testbed", description="Real peers and bare hosts for kmsched.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for name, (_, _, text, arguments) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        for argument, options in arguments.items():
            sub.add_argument(argument, **options)
    return parser


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    arguments = _parser().parse_args()
    action, changes, _, _ = COMMANDS[arguments.name]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        settings = from_environment(os.environ)
        if os.geteuid() != 0:
            raise UsageError("the testbed makes namespaces and mounts: run it as root")
        if not changes:
            return action(settings, arguments)
        with processes.locked(settings.lock, f"testbed {settings.name!r}"):
            return action(settings, arguments)
    except UsageError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return EXIT_USAGE
    except LabError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"testbed: {arguments.name} interrupted; go on with `up`, or end it with `down`", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
