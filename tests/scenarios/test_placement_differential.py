"""A slice of the soak: bin/km judges as kube-scheduler's plugins do. Needs no testbed, only its build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.settings import from_environment
from tests.scenarios import placement

CASES = 300
SEED = 1
#: plugins that must have objected in the slice, or it shows nothing
OBJECTING = {
    "NodeName",
    "NodeUnschedulable",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
}


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    yield placement.bring_up(from_environment(os.environ))


def test_verdicts_are_those_of_kube_scheduler(program: Path) -> None:
    done = placement.trial(program, SEED, CASES)
    assert not done.wrong, "\n".join(done.wrong)
    assert done.verdicts.keys() >= {"", *OBJECTING}
