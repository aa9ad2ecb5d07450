"""The lab's network: a namespace with a bridge, and one namespace with one cable for each host.

Nothing is added to the machine's own namespace: no route, no firewall rule, no setting; hosts cannot reach out.
Knows addresses, nothing of what runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from testbed.errors import LabError
from testbed.processes import output, succeeds
from testbed.settings import Settings

NETNS = Path("/run/netns")
BRIDGE = "br0"
#: the table of a host's network that has its cut links
CUTS = "cuts"
CLONE_NEWNET = 0x40000000
DELETE_TRIES = 20
Result = TypeVar("Result")


def lab(settings: Settings) -> str:
    """Name of the namespace that holds the bridge."""
    return settings.name


def of_host(settings: Settings, host: str) -> str:
    return f"{settings.name}-{host}"


def cable(host: str) -> str:
    """The bridge's end of the host's cable."""
    return f"p{host}"


def _ip(namespace: str, *words: str) -> None:
    output(["ip", "-n", namespace, *words])


def make_lab(settings: Settings) -> None:
    """Makes the bridge, if it is not there whole."""
    name = lab(settings)
    if (NETNS / name).exists():
        if succeeds(["ip", "-n", name, "route", "get", f"{settings.net}.2"]):
            return
        output(["ip", "netns", "del", name])  # an `up` that was killed right here
    output(["ip", "netns", "add", name])
    _ip(name, "link", "set", "lo", "up")
    _ip(name, "link", "add", BRIDGE, "type", "bridge")
    _ip(name, "addr", "add", f"{settings.gateway}/24", "dev", BRIDGE)
    _ip(name, "link", "set", BRIDGE, "up")


def connect(settings: Settings, host: str) -> None:
    """Makes the host's namespace and cable, if they are not there whole."""
    own, bridge = of_host(settings, host), lab(settings)
    if (NETNS / own).exists():
        if succeeds(["ip", "-n", own, "route", "get", settings.gateway]):
            return
        output(["ip", "netns", "del", own])
    if succeeds(["ip", "-n", bridge, "link", "show", cable(host)]):
        _ip(bridge, "link", "del", cable(host))
    output(["ip", "netns", "add", own])
    _ip(own, "link", "set", "lo", "up")
    _ip(bridge, "link", "add", cable(host), "type", "veth", "peer", "name", "eth0", "netns", own)
    _ip(bridge, "link", "set", cable(host), "master", BRIDGE, "up")
    _ip(own, "addr", "add", f"{settings.address(host)}/24", "dev", "eth0")
    _ip(own, "link", "set", "eth0", "up")
    _ip(own, "route", "add", "default", "via", settings.gateway)
    if host.startswith("h"):
        _ip(bridge, "route", "replace", settings.pod_cidr(host), "via", settings.address(host))


def set_cable(settings: Settings, host: str, plugged: bool) -> None:
    """Pulls or plugs the host's cable, at the bridge's end: the host itself sees a link without a carrier."""
    _ip(lab(settings), "link", "set", cable(host), "up" if plugged else "down")


def cut_links(settings: Settings, host: str, addresses: Sequence[str], ports: Sequence[int]) -> None:
    """Drops without a word all TCP between the host and these addresses that has one of these ports at either end.

    Everything else goes on; what was cut before is healed.
    """
    heal_links(settings, host)
    rules = [f"add table ip {CUTS}"]
    for hook, far in (("output", "daddr"), ("input", "saddr")):
        rules.append(f"add chain ip {CUTS} {hook} {{ type filter hook {hook} priority 0; }}")
        for end in ("dport", "sport"):
            match = f"ip {far} {{ {', '.join(addresses)} }} tcp {end} {{ {', '.join(map(str, ports))} }}"
            rules.append(f"add rule ip {CUTS} {hook} {match} drop")
    _nft(settings, host, rules)


def heal_links(settings: Settings, host: str) -> None:
    """Ends what `cut_links` has begun; nothing is cut: nothing happens."""
    _nft(settings, host, [f"add table ip {CUTS}", f"delete table ip {CUTS}"])


def _nft(settings: Settings, host: str, rules: Sequence[str]) -> None:
    output(["nsenter", f"--net={NETNS / of_host(settings, host)}", "nft", "; ".join(rules)])


def namespaces(settings: Settings) -> list[str]:
    """This testbed's namespaces that exist, the lab's last."""
    if not NETNS.is_dir():
        return []
    found = {entry.name for entry in NETNS.iterdir()}
    return sorted(name for name in found if name.startswith(f"{settings.name}-")) + sorted(found & {lab(settings)})


def remove(settings: Settings) -> None:
    """Removes all namespaces of this testbed, with the cables in them."""
    for name in namespaces(settings):
        for _ in range(DELETE_TRIES):
            if succeeds(["ip", "netns", "del", name]) or not (NETNS / name).exists():
                break
            time.sleep(0.1)
        else:
            raise LabError(f"network namespace {name} cannot be removed")


def members(name: str) -> list[int]:
    """Pids of the processes on that network."""
    with contextlib.suppress(LabError):
        return [int(word) for word in output(["ip", "netns", "pids", name]).split()]
    return []


def inside(settings: Settings, action: Callable[[], Result], host: str = "") -> Result:
    """Calls `action` on the lab's network, or on that of a host: in a thread of its own, which alone changes namespace.

    Raises:
        LabError: the lab is not up. What `action` raises is raised here.
    """
    path = NETNS / (of_host(settings, host) if host else lab(settings))
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            _enter(path)
            outcome.append(action())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _enter(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise LabError(f"{path}: no such network; run: python3 -m testbed up") from None
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            raise LabError(f"{path}: {os.strerror(ctypes.get_errno())}; the testbed wants root")
    finally:
        os.close(handle)
