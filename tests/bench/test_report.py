"""What a benchmark keeps: its cases, each with versions and load, and quantiles that are values."""

from __future__ import annotations

import json
from pathlib import Path

from bench.report import keep, quantile, spread, versions


def test_a_case_takes_the_place_of_its_last_result_and_leaves_the_others(tmp_path: Path) -> None:
    keep("speed", "small", {"seconds": 1}, tmp_path)
    keep("speed", "large", {"seconds": 9}, tmp_path)
    keep("speed", "small", {"seconds": 2}, tmp_path)
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert {case: entry["seconds"] for case, entry in kept.items()} == {"small": 2, "large": 9}
    assert kept["large"]["versions"] == versions()
    assert len(kept["large"]["load_average"]) == 3


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert quantile([3.0], 0.99) == 3.0


def test_a_spread_keeps_every_value() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "all": [3.0, 1.0, 2.0]}
