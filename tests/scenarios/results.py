"""Figures as JSON files below bench/results, which are committed.

Knows where they go and what every record holds besides its figures: versions and the machine.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kmsched import __version__
from tests.scenarios import product

FOLDER = product.ROOT / "bench/results"
WRITE_VARIABLE = "KM_RESULTS"


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the ends, in seconds to milliseconds."""
    return {
        "p50_s": round(percentile(values, 50), 3),
        "p99_s": round(percentile(values, 99), 3),
        "least_s": round(min(values), 3),
        "most_s": round(max(values), 3),
    }


def surroundings() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True, cwd=product.ROOT
    ).stdout.strip()
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": __version__,
        "commit": commit,
        "km_sha256": product.sha256(),
        "cores": os.cpu_count(),
    }


def write(name: str, figures: dict[str, Any]) -> None:
    """Prints the figures; with KM_RESULTS=1 also writes them to bench/results/NAME.json."""
    record = {**surroundings(), **figures}
    print(json.dumps(record), flush=True)
    if os.environ.get(WRITE_VARIABLE) == "1":
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def append(path: Path, record: dict[str, Any]) -> None:
    """One more line, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(record) + "\n").encode()
    with path.open("ab", buffering=0) as file:
        file.write(line)
        os.fsync(file.fileno())
