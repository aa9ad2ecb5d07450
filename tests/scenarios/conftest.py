"""Scenarios get a cluster for the whole session, and a Kubernetes namespace of their own each.

Every test here is marked `real` and needs root. The testbed stays up afterwards, unless KM_TESTBED_DOWN=1.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from testbed import lifecycle, processes
from testbed.settings import from_environment
from tests.scenarios import failures, ha_soak
from tests.scenarios.cluster import Cluster, bring_up
from tests.scenarios.group import Group
from tests.scenarios.load import Load, loaded
from tests.scenarios.second import Second

FOLDER = Path(__file__).parent
#: the first test also waits for the testbed and its deployment
TEST_S = 900
DOWN_VARIABLE = "KM_TESTBED_DOWN"
STEADY_PODS = 12
#: a sixth of what soaks create: two cores carry all servers of several testbeds beside it
POD_EVERY_S = 6.0
CLUSTER = pytest.StashKey[Cluster]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    settings = from_environment(os.environ)
    try:
        with processes.locked(settings.lock, f"testbed {settings.name!r}"):
            found = bring_up(settings)
        request.config.stash[CLUSTER] = found
        yield found
    finally:
        if os.environ.get(DOWN_VARIABLE) == "1":
            lifecycle.down(settings)


@pytest.fixture(scope="session")
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Three schedulers that share a framework, with HDFS. Not beside `cluster`, the same testbed with one of them."""
    settings = from_environment(os.environ)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        found = Group(bring_up(settings, ha_soak.SCHEDULERS, with_hdfs=True))
    request.config.stash[CLUSTER] = found.cluster
    found.heal()
    yield found
    found.heal()


@pytest.fixture(scope="module")
def load(group: Group) -> Iterator[Load]:
    """Pods that run, and one more every 6 seconds, for all tests of a module."""
    with (
        group.cluster.namespace(f"ha-{secrets.token_hex(3)}") as name,
        loaded(group.cluster, name, STEADY_PODS, POD_EVERY_S) as found,
    ):
        yield found


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty namespace, named after the test; when the test ends, every part is brought back first."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].strip('-')}-{secrets.token_hex(3)}"  # an earlier run's may still be going away
    with contextlib.ExitStack() as stack:
        stack.enter_context(cluster.namespace(name))
        stack.callback(cluster.heal)
        yield name


@pytest.fixture
def second(cluster: Cluster) -> Iterator[Second]:
    """Its folder is there, and it does not run yet."""
    made = Second(cluster)
    made.prepare()
    yield made
    made.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed scenario leaves everything that the parts said."""
    report = yield
    found = item.config.stash.get(CLUSTER, None)
    if report.failed and found is not None and FOLDER in item.path.parents:
        folder = failures.collect(found, f"{item.name}-{report.when}")
        report.sections.append(("what the parts said", str(folder)))
    return report
