"""The scheduler is SIGKILLed in the middle of placing 50 pods; every pod is bound once and runs once all the same."""

from __future__ import annotations

import pytest

from tests.scenarios import trials
from tests.scenarios.cluster import Cluster

SEEDS = range(1, 6)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_in_the_middle_of_placing_50_pods(cluster: Cluster, seed: int) -> None:
    trial = trials.kill_scheduler(cluster, seed)
    print(trial.record())
    assert trial.wrong == []
