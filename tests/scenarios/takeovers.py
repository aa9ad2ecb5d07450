"""One trial: the leading scheduler ends in one of several ways while pods run and are created, and another follows.

Used by the scenario and, in larger numbers, by the soak. Times are taken from the Mesos master's log, what happened to
pods from containerd and the API. A trial never raises for what went wrong with the product: it says so in `wrong`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from kmsched.ha import SHARES
from tests.scenarios import lease_floor, reigns
from tests.scenarios.group import Calls, Group
from tests.scenarios.group_trial import GroupTrial
from tests.scenarios.load import Load
from tests.scenarios.waiting import until

#: the fault falls somewhere between two pods of the stream
WINDOW_S = 1.0
SUCCESSOR_S = 30.0
#: so long a process stays frozen after another leads
FROZEN_S = 2.0
#: of the TTL: whoever leads has renewed its lease by then
RENEWED = SHARES["ha-renew-interval"] + SHARES["ha-request-deadline"]
BACK_S = 60.0
EXIT_DEPOSED = 11


@dataclass(slots=True)
class Trial(GroupTrial):
    """Times in seconds after the fault began; it was whole after `struck_s`. `led_s`: until the successor's own page
    said that it leads. `floor_s`: so long etcd kept a lease whose holder ended with the leader; None where nobody
    waited for the lease.
    """

    fault: str
    ttl_s: int
    etcd_leader: str = ""
    struck_s: float = 0.0
    led_s: float = 0.0
    subscribed_s: float | None = None
    called_s: float | None = None
    accepted_s: float | None = None
    floor_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` gets host and pid outside; `undo` brings the host back, once another leads.

    `is_by_lease`: who follows waits for the lease. `etcd_leads`: where etcd's leader is before; None: anywhere.
    """

    strike: Callable[[Group, str, int], None]
    undo: Callable[[Group, str, int], list[str]] = lambda group, host, pid: []
    is_by_lease: bool = False
    etcd_leads: Callable[[Group, str], str] | None = None


def _send(number: signal.Signals) -> Callable[[Group, str, int], None]:
    return lambda group, host, pid: os.kill(pid, number)


def _thaw(group: Group, host: str, pid: int) -> list[str]:
    """It finds that its lease is gone, and ends with the code that says so."""
    time.sleep(FROZEN_S)
    thawed = time.time()
    os.kill(pid, signal.SIGCONT)
    codes = until(lambda: group.exit_codes(host, thawed), BACK_S, "the process that was frozen ends", 0.05)
    return [] if codes == [EXIT_DEPOSED] else [f"the process that was frozen ended with {codes}, not {EXIT_DEPOSED}"]


def _heal(group: Group, host: str, pid: int) -> list[str]:
    group.heal()
    return []


def _power(group: Group, host: str, pid: int) -> None:
    group.cut_power(host)


def _elsewhere(group: Group, host: str) -> str:
    return next(each for each in group.etcd.members if each != host)


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(_send(signal.SIGKILL)),
    "handover": Fault(_send(signal.SIGUSR1)),
    "stop": Fault(_send(signal.SIGSTOP), _thaw, is_by_lease=True),
    "power": Fault(_power, _heal, is_by_lease=True, etcd_leads=_elsewhere),
    "power-etcd-leader": Fault(_power, _heal, is_by_lease=True, etcd_leads=lambda group, host: host),
}


def trial(group: Group, load: Load, fault: str, seed: int) -> Trial:
    done = Trial(seed, fault, group.ttl_s)
    pause_s = Random(seed).uniform(0, WINDOW_S)
    done.run(load, lambda: _take_over(group, FAULTS[fault], done, pause_s))
    return done


def _take_over(group: Group, fault: Fault, done: Trial, pause_s: float) -> None:
    old = done.old = group.wait_whole()
    if fault.etcd_leads is not None:
        done.etcd_leader = group.etcd.have_led_at(fault.etcd_leads(group, old))
        # who leads etcd anew lengthens all leases by its election timeout, until each is renewed
        time.sleep(group.ttl_s * RENEWED)
        old = done.old = group.wait_whole()
    ids, before = group.framework_ids(), group.heard(old)
    pid = group.pid(old)
    with contextlib.ExitStack() as stack:
        others = [host for host in group.etcd.members if host != old]
        floor = stack.enter_context(lease_floor.held(group.cluster, others, group.ttl_s)) if fault.is_by_lease else None
        # the fault's own moment, not a wait for something
        time.sleep(pause_s)
        struck, began = time.time(), time.monotonic()
        if floor is not None:
            floor.end()
        fault.strike(group, old, pid)
        done.struck_s = round(time.monotonic() - began, 3)
        done.new = group.wait_successor(old, SUCCESSOR_S)
        done.led_s = round(time.monotonic() - began, 3)
        done.floor_s = floor.seconds() if floor is not None else None
    done.wrong += fault.undo(group, old, pid)
    leader = group.wait_whole()
    done.back_s = round(time.monotonic() - began, 3)
    until(lambda: group.calls(struck).accepted_s is not None, SUCCESSOR_S, "the successor has launched a pod")
    _note(done, group.calls(struck))
    acts = reigns.acts(group, struck, old)
    done.note_acts(acts)
    if acts.subscriptions != 1:
        done.wrong.append(f"{acts.subscriptions} subscriptions, by {[each.host for each in acts.reigns[1:]]}")
    if leader != done.new:
        done.wrong.append(f"{done.new} followed, and then {leader}")
    told = group.heard(leader)
    done.require_framework(group, before, ids, told)
    if told["term"] <= before["term"]:
        done.wrong.append(f"term {before['term']} was followed by {told['term']}")


def _note(done: Trial, calls: Calls) -> None:
    for name in ("subscribed_s", "called_s", "accepted_s"):
        value = getattr(calls, name)
        setattr(done, name, None if value is None else round(value, 3))
