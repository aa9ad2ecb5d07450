"""How the plan of a testbed may grow, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.errors import UsageError
from testbed.plans import Plan, grow
from testbed.settings import from_environment

SETTINGS = from_environment({})
OLD = Plan(agents=3, masters=1, schedulers=1, net="10.88.0", products={"mesos": "/m"})


def test_asking_for_nothing_keeps_all() -> None:
    assert grow(SETTINGS, OLD, None, None, None) == OLD


def test_more_hosts_are_added_and_fewer_are_never_taken() -> None:
    assert grow(SETTINGS, OLD, 5, 1, 3) == replace(OLD, agents=5, schedulers=3)
    assert grow(SETTINGS, OLD, 1, None, 1) == OLD


def test_masters_and_network_stay_as_they_are() -> None:
    with pytest.raises(UsageError, match="has 1 Mesos masters, not 3; down first"):
        grow(SETTINGS, OLD, None, 3, None)
    with pytest.raises(UsageError, match=r"is up on 10\.88\.0, not on KM_TESTBED_NET=10\.99\.0"):
        grow(from_environment({"KM_TESTBED_NET": "10.99.0"}), OLD, None, None, None)


def test_what_the_address_plan_does_not_hold_is_refused() -> None:
    for count in (0, 101):
        with pytest.raises(UsageError, match=f"{count} hosts"):
            grow(SETTINGS, OLD, count, None, None)
