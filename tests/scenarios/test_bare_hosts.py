"""deploy.yml in check mode, on hosts that have nothing of kmsched: it tells what would change, and does not fail."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import pytest

from testbed import lifecycle, processes
from testbed.settings import Settings, from_environment
from tests.scenarios import product

BARE_NAME, BARE_NET = "kmbare", "10.91.0"


@pytest.fixture(scope="module")
def bare() -> Iterator[Settings]:
    """A second testbed, of a scheduler host and an agent, with nothing installed."""
    settings = dataclasses.replace(from_environment(os.environ), name=BARE_NAME, net=BARE_NET)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        try:
            lifecycle.up(settings, 1, 1, 1)
            yield settings
        finally:
            lifecycle.down(settings)


def test_check_mode_on_bare_hosts(bare: Settings) -> None:
    recap, output = product.playbook(bare, "--check", "--diff", "--limit=s1,h1,localhost")
    assert set(recap) == {"s1", "h1", "localhost"}
    assert recap["s1"]["changed"] > 0 and recap["h1"]["changed"] > 0, output
