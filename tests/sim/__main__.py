"""`python -m tests.sim --seeds N --from S`: one line a failed seed, the trace of the first one."""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim.world import World, failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    began = time.monotonic()
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        words = failure(World(seed))
        if words:
            failed += 1
            print(words if failed == 1 else words.rpartition("\n")[2], flush=True)
    took_s = time.monotonic() - began
    print(f"{options.seeds} seeds from {options.first}: {failed} failed, {took_s:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
