"""Names, addresses and refusals of testbed.settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.settings import check_host_name, from_environment, names


def test_nothing_set_gives_the_defaults() -> None:
    settings = from_environment({})
    assert (settings.name, settings.net) == ("km", "10.88.0")
    assert settings.state == Path("/var/lib/kmsched-testbed/km")
    assert settings.cache == Path("/var/cache/kmsched")


def test_two_testbeds_share_only_the_cache() -> None:
    one = from_environment({})
    other = from_environment({"KM_TESTBED_NAME": "two", "KM_TESTBED_NET": "10.89.0"})
    assert one.cache == other.cache
    for name in ("state", "lock", "gateway", "key", "kube"):
        assert getattr(one, name) != getattr(other, name)
    assert one.address("h1") != other.address("h1")


def test_no_two_hosts_share_an_address_and_pods_have_their_own() -> None:
    settings = from_environment({})
    hosts = [*names("s", 9), *names("m", 9), *names("h", 100)]
    addresses = {settings.address(host) for host in hosts}
    assert len(addresses | {settings.gateway}) == len(hosts) + 1
    cidrs = {settings.pod_cidr(host) for host in names("h", 100)}
    assert len(cidrs) == 100
    assert not any(cidr.startswith(f"{settings.net}.") for cidr in cidrs)


@pytest.mark.parametrize(
    "environ",
    [
        {"KM_TESTBED_NAME": "Upper"},
        {"KM_TESTBED_NAME": "longerthan8"},
        {"KM_TESTBED_NAME": "a/b"},
        {"KM_TESTBED_NET": "10.88"},
        {"KM_TESTBED_NET": "10.88.0.0"},
        {"KM_TESTBED_NET": "10.88.256"},
        {"KM_TESTBED_NET": "10.88.101"},
        {"KM_TESTBED_NODE_GRACE_S": "soon"},
        {"KM_TESTBED_NODE_GRACE_S": "1"},
    ],
)
def test_what_cannot_work_is_refused_by_name(environ: dict[str, str]) -> None:
    (variable,) = environ
    with pytest.raises(UsageError, match=variable):
        from_environment(environ)


@pytest.mark.parametrize("host", ["h0", "h101", "x1", "h", "h1;id", "../h1", "s10", "h01"])
def test_host_names_outside_the_plan_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="no such host"):
        check_host_name(host)


@pytest.mark.parametrize("count", [0, -1, 101])
def test_counts_outside_the_plan_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match=str(count)):
        names("h", count)


def test_flags_are_split_at_blanks() -> None:
    assert from_environment({"KM_TESTBED_AGENT_FLAGS": "A=1 B=2"}).agent_flags == ("A=1", "B=2")
