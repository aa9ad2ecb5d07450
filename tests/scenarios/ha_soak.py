"""Many takeovers in a row, of one kind or of several in turns, under one load that goes on for all of them.

Knows how soaks call trials.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from testbed.settings import Settings
from tests.scenarios import cluster, cuts, failures, takeovers
from tests.scenarios.group import Group
from tests.scenarios.load import Load, loaded

SCHEDULERS = 3
PODS = 60
#: more than 3 dead leaders a minute are left to their TTL, which is not what is measured
BETWEEN_KILLS_S = 21.0
#: shorter than a renewal, and longer than several leases
LEAST_CUT_S, MOST_CUT_S = 0.5, 20.0
#: faults that last for longer
LASTS_S = {"etcd-quorum-lost": 60.0}


@dataclass(slots=True)
class Loaded:
    """`stack` holds the load until the process ends; what it leaves is cleared by the next one."""

    group: Group
    load: Load
    stack: contextlib.ExitStack
    kill_from: float = 0.0


def bring_up(settings: Settings) -> Loaded:
    group = Group(cluster.bring_up(settings, SCHEDULERS))
    group.heal()
    stack = contextlib.ExitStack()
    namespace = stack.enter_context(group.cluster.namespace(f"ha-{secrets.token_hex(3)}"))
    return Loaded(group, stack.enter_context(loaded(group.cluster, namespace, PODS)), stack)


def trial(fault: str, target: Loaded, seed: int) -> takeovers.Trial:
    if fault == "kill":
        time.sleep(max(0.0, target.kill_from - time.monotonic()))
        target.kill_from = time.monotonic() + BETWEEN_KILLS_S
    return takeovers.trial(target.group, target.load, fault, seed)


def cut(target: Loaded, seed: int) -> cuts.Trial:
    """One of the faults after the other; how long it lasts, the seed decides."""
    fault = list(cuts.FAULTS)[seed % len(cuts.FAULTS)]
    lasts_s = LASTS_S.get(fault, round(Random(seed).uniform(LEAST_CUT_S, MOST_CUT_S), 1))
    return cuts.trial(target.group, target.load, fault, seed, lasts_s)


def heal(target: Loaded) -> None:
    target.group.heal()


def collect(target: Loaded, name: str) -> Path:
    return failures.collect(target.group.cluster, name)
