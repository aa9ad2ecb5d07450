"""A scheduler without standbys is replaced while pods are created; and leads on when its replacement is broken."""

from __future__ import annotations

import pytest

from tests.scenarios import handovers
from tests.scenarios.cluster import Cluster


@pytest.mark.parametrize("seed", (1,))
def test_it_is_replaced_by_its_own_program(cluster: Cluster, seed: int) -> None:
    trial = handovers.single(cluster, seed)
    print(trial.record())
    assert trial.wrong == []
    assert trial.terms[1] == trial.terms[0] + 1


@pytest.mark.parametrize("seed", range(len(handovers.BROKEN)))
def test_it_leads_on_when_its_replacement_is_broken_and_says_why(cluster: Cluster, seed: int) -> None:
    trial = handovers.broken(cluster, seed)
    print(trial.record())
    assert trial.wrong == []
    assert trial.terms[1] == trial.terms[0] + (trial.kind == "quits")
