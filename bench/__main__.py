"""`python -m bench [NAME...]`: the benchmarks that need this machine alone; results in `bench/results/`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench import ingest, latency, memory, placement, timer
from bench.report import REPEATS

BENCHMARKS: Mapping[str, Callable[[int], None]] = MappingProxyType(
    {
        "placement": placement.main,
        "ingest": ingest.main,
        "memory": memory.main,
        "latency": latency.main,
        "timer": timer.main,
    }
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none is given")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each measurement")
    given = parser.parse_args()
    names = given.names
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        BENCHMARKS[name](given.repeats)


if __name__ == "__main__":
    main()
