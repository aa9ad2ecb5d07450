"""How a result is kept: one JSON file a benchmark, an entry a case, each with its versions and the machine's load.

Seconds belong to the machine and to what else it had to do; what is compared is measured in turns, in one run.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kmsched import __version__

RESULTS = Path(__file__).resolve().parent / "results"
REPEATS = 5
DIGITS = 6


def versions() -> dict[str, str]:
    return {
        "kmsched": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "msgspec": importlib.metadata.version("msgspec"),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), DIGITS),
        "min": round(min(values), DIGITS),
        "max": round(max(values), DIGITS),
        "all": [round(each, DIGITS) for each in values],
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return round(ordered[max(0, -int(-len(ordered) * share // 1) - 1)], DIGITS)


def keep(name: str, case: str, result: dict[str, Any], folder: Path = RESULTS) -> None:
    """Print it, and put it into the benchmark's file in place of the case's last one."""
    path = folder / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    entry = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        **result,
    }
    kept[case] = entry
    path.write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps({name: {case: entry}}, indent=2))
