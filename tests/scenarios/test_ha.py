"""Three schedulers on three hosts share a framework through an etcd of three: the one that leads is killed, asked to
hand over, frozen, and cut off power; another follows, no container notices, and pods go on being placed."""

from __future__ import annotations

import pytest

from tests.scenarios import takeovers
from tests.scenarios.group import Group
from tests.scenarios.load import Load

FAULTS = ("kill", "handover", "stop", "power")


@pytest.mark.parametrize(("seed", "fault"), list(enumerate(FAULTS)))
def test_another_follows_and_no_pod_notices(group: Group, load: Load, fault: str, seed: int) -> None:
    trial = takeovers.trial(group, load, fault, seed)
    print(trial.record())
    assert trial.wrong == []
