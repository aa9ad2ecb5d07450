"""Many takeovers in a row, of one kind or of several in turns, under one load that goes on for all of them.

Knows how soaks call trials.
"""

from __future__ import annotations

import atexit
import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from testbed.settings import Settings
from tests.scenarios import cluster, cuts, failures, takeovers, upgrades
from tests.scenarios.group import Group
from tests.scenarios.group_trial import GroupTrial
from tests.scenarios.load import Load, loaded

SCHEDULERS = 3
#: the shortest TTL that schedulers take; faults that go by it come round sooner, and all margins are the smallest
SHORT_TTL_S = 2
PODS = 60
#: more than 3 dead leaders a minute are left to their TTL, which is not what is measured
BETWEEN_KILLS_S = 21.0
#: of the TTL: about a renewal, and several leases
LEAST_CUT, MOST_CUT = 0.1, 4.0
#: faults that last for longer
LASTS_S = {"etcd-quorum-lost": 60.0}


@dataclass(slots=True)
class Loaded:
    """`stack` holds the load until the process ends."""

    group: Group
    load: Load
    stack: contextlib.ExitStack
    kill_from: float = 0.0
    builds: Sequence[Path] = ()


def bring_up(settings: Settings) -> Loaded:
    return _loaded(Group(cluster.bring_up(settings, SCHEDULERS)))


def bring_up_short(settings: Settings) -> Loaded:
    """All the same, but for a TTL of 2 seconds."""
    return _loaded(Group(cluster.bring_up(settings, SCHEDULERS), SHORT_TTL_S), f"--ha-lease-ttl={SHORT_TTL_S}s")


def _loaded(group: Group, *flags: str) -> Loaded:
    group.heal()
    group.set_flags(*flags)
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    namespace = stack.enter_context(group.cluster.namespace(f"ha-{secrets.token_hex(3)}"))
    return Loaded(group, stack.enter_context(loaded(group.cluster, namespace, PODS)), stack)


def trial(fault: str, target: Loaded, seed: int) -> takeovers.Trial:
    if fault == "kill":
        time.sleep(max(0.0, target.kill_from - time.monotonic()))
        target.kill_from = time.monotonic() + BETWEEN_KILLS_S
    return takeovers.trial(target.group, target.load, fault, seed)


def upgrade(target: Loaded, seed: int) -> upgrades.Trial:
    """There and back between bin/km and another build."""
    if not target.builds:
        target.builds = upgrades.builds(Path(target.stack.enter_context(tempfile.TemporaryDirectory())))
    return upgrades.trial(target.group, target.load, target.builds, seed)


def cut(target: Loaded, seed: int) -> cuts.Trial:
    """One of the faults after the other; how long it lasts, the seed decides."""
    fault = list(cuts.FAULTS)[seed % len(cuts.FAULTS)]
    lasts_s = LASTS_S.get(fault, round(target.group.ttl_s * Random(seed).uniform(LEAST_CUT, MOST_CUT), 1))
    return cuts.trial(target.group, target.load, fault, seed, lasts_s)


TRIALS: dict[str, Callable[[Loaded, int], GroupTrial]] = {
    **{fault: partial(trial, fault) for fault in takeovers.FAULTS},
    "cuts": cut,
    "upgrade": upgrade,
}


def heal(target: Loaded) -> None:
    target.group.heal()


def collect(target: Loaded, name: str) -> Path:
    return failures.collect(target.group.cluster, name)
