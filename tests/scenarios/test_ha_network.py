"""Three schedulers and the etcd that they share, cut off from each other and from Mesos, frozen and without a quorum:
never two that act, no container notices, and pods go on being placed."""

from __future__ import annotations

import pytest

from tests.scenarios import cuts
from tests.scenarios.group import Group
from tests.scenarios.load import Load

#: longer than a lease
LASTS_S = 7.0


@pytest.mark.parametrize(("seed", "fault"), list(enumerate(cuts.FAULTS)))
def test_never_two_act_and_pods_go_on_being_placed(group: Group, load: Load, fault: str, seed: int) -> None:
    trial = cuts.trial(group, load, fault, seed, LASTS_S)
    print(trial.record())
    if trial.wrong:
        group.heal()
    assert trial.wrong == []
