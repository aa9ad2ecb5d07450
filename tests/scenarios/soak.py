"""`python -m tests.scenarios.soak NAME... [--trials N]`: trials in large numbers, one JSON line each.

Lines are appended to bench/results/soak-NAME.jsonl. A soak that is started again goes on at the missing trial, so it
may be interrupted at any time. Several names take turns on one testbed. Exit code 1 if any trial of a file has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from testbed import lifecycle, processes
from testbed.hdfs import Hdfs
from testbed.settings import Settings, from_environment
from tests.scenarios import failures, ha_soak, handovers, placement, results, trials, upload_faults
from tests.scenarios.cluster import Cluster, bring_up
from tests.scenarios.outcome import Outcome

DEFAULT_TRIALS = 20
#: seeds of the scenarios are below, so a soak sees other moments
FIRST_SEED = 1000
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class Soak(Generic[Target]):
    """`trial` gets a seed; `heal` brings back what it has ended; `collect` keeps what the parts said and says where."""

    bring_up: Callable[[Settings], Target]
    trial: Callable[[Target, int], Outcome]
    heal: Callable[[Target], None]
    collect: Callable[[Target, str], Path]


SOAKS: dict[str, Soak[Any]] = {
    "kill-scheduler": Soak(bring_up, trials.kill_scheduler, Cluster.heal, failures.collect),
    **{
        f"ha-{name}{suffix}": Soak(up, trial, ha_soak.heal, ha_soak.collect)
        for suffix, up in {"": ha_soak.bring_up, "-short": ha_soak.bring_up_short}.items()
        for name, trial in ha_soak.TRIALS.items()
    },
    "handover-single": Soak(bring_up, handovers.single, Cluster.heal, failures.collect),
    "handover-broken": Soak(bring_up, handovers.broken, Cluster.heal, failures.collect),
    "placement": Soak(placement.bring_up, placement.trial, placement.heal, placement.collect),
    "upload-faults": Soak(lifecycle.up_hdfs, upload_faults.soak_trial, Hdfs.up, failures.collect_hdfs),
}


def done(path: Path) -> dict[int, dict[str, Any]]:
    """Seed -> record of the trials that the file holds; a torn last line is no trial."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[int(record["seed"])] = record
    return found


def path_of(name: str) -> Path:
    return results.FOLDER / f"soak-{name}.jsonl"


def soak(names: Sequence[str], count: int) -> int:
    """The number of trials that failed."""
    seeds = [FIRST_SEED + number for number in range(count)]
    missing = {name: set(seeds) - done(path_of(name)).keys() for name in names}
    for name in names:
        print(f"{path_of(name)}: {count - len(missing[name])} of {count} trials are there", flush=True)
    todo = [(seed, name) for seed in seeds for name in names if seed in missing[name]]
    if todo:
        settings = from_environment(os.environ)
        with processes.locked(settings.lock, f"testbed {settings.name!r}"):
            target = SOAKS[names[0]].bring_up(settings)
        for seed, name in todo:
            _one(SOAKS[name], target, name, seed)
    return sum(_failed(name, seeds) for name in names)


def _one(kind: Soak[Any], target: Any, name: str, seed: int) -> None:
    trial = kind.trial(target, seed)
    if trial.wrong:
        print(f"logs: {kind.collect(target, f'soak-{name}-{seed}')}", flush=True)
    record = {**results.surroundings(), **trial.record()}
    results.append(path_of(name), record)
    print(json.dumps(record), flush=True)
    kind.heal(target)


def _failed(name: str, seeds: Sequence[int]) -> int:
    records = done(path_of(name))
    failed = [seed for seed in seeds if records[seed]["verdict"] != "passed"]
    print(f"{name}: {len(seeds)} trials, {len(failed)} failed{f': seeds {failed}' if failed else ''}", flush=True)
    for figure in dict.fromkeys(key for seed in seeds for key in records[seed] if key.endswith("_s")):
        values = [records[seed][figure] for seed in seeds if records[seed].get(figure) is not None]
        if values:
            print(f"  {figure} of {len(values)}: {results.spread(values)}", flush=True)
    return len(failed)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("names", nargs="+", choices=SOAKS, metavar="NAME", help=f"what is tried: {', '.join(SOAKS)}")
    parser.add_argument("--trials", type=int, default=DEFAULT_TRIALS)
    arguments = parser.parse_args()
    if len({SOAKS[name].bring_up for name in arguments.names}) > 1:
        parser.error(f"{' and '.join(arguments.names)} need different testbeds; soak them one after the other")
    return 1 if soak(arguments.names, arguments.trials) else 0


if __name__ == "__main__":
    sys.exit(main())
