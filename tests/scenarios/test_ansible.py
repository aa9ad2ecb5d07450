"""The playbook: a second run changes nothing, and check mode works on hosts that have nothing yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from testbed import lifecycle, processes
from testbed.settings import Settings
from tests.scenarios import product
from tests.scenarios.cluster import Cluster

BARE_NAME, BARE_NET = "kmbare", "10.91.0"


def test_second_run_changes_nothing(cluster: Cluster) -> None:
    pid = cluster.hosts.main_pid(cluster.scheduler_host, "km-scheduler")
    recap, output = product.playbook(cluster.settings)
    assert set(recap) == {*cluster.plan.hosts.schedulers, *cluster.agents, "localhost"}
    assert {host: counts["changed"] for host, counts in recap.items()} == dict.fromkeys(recap, 0), output
    assert cluster.hosts.main_pid(cluster.scheduler_host, "km-scheduler") == pid


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[Settings]:
    """A second testbed, of one agent, with nothing installed."""
    settings = dataclasses.replace(cluster.settings, name=BARE_NAME, net=BARE_NET)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        try:
            lifecycle.up(settings, 1, 1, 1)
            yield settings
        finally:
            lifecycle.down(settings)


def test_check_mode_on_bare_hosts(bare: Settings) -> None:
    recap, output = product.playbook(bare, "--check", "--diff")
    assert set(recap) == {"s1", "h1", "localhost"}
    assert recap["s1"]["changed"] > 0 and recap["h1"]["changed"] > 0, output
