"""Roles, ports and maintenance: the words, and what is taken where nothing objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from kmsched.core.agent_filters import Down, Held, taken_by
from kmsched.core.fit import veto
from kmsched.core.model import HostPort, Wishes
from kmsched.core.ports import Ports
from kmsched.core.resources import Resources
from kmsched.core.shares import Flavour, Pool, Share, pool_of
from tests.core.places import PLENTY, SETTINGS, place, pod

ROLES = replace(SETTINGS, roles=("web", "db", "*"), pod_roles=("web",), role="web")
MUCH = PLENTY.without_pods()
OPEN = (("TCP", 80, "http"), ("UDP", 53, ""))


def pool(role: str, amount: Resources = MUCH, ports: Ports = ()) -> Pool:
    return pool_of(role, (Share("", amount, ports),))


def held(*pools: Pool, **more: Any) -> Held:
    given: dict[str, Any] = {"pools": pools, "executor": Flavour("web"), "has_ports": True}
    return Held(**(given | more))


def said(wishes: Wishes, there: Held, *numbers: int, settings: Any = ROLES, **more: Any) -> tuple[str, str] | None:
    ports = frozenset(HostPort("TCP", "0.0.0.0", number) for number in numbers)
    offered = there.pools[0].amount if len(there.pools) == 1 else MUCH
    found = veto(pod(wishes=wishes, host_ports=ports, **more), place(held=there, offered=offered), settings)
    return None if found is None else (found.filter, found.reason)


@pytest.mark.parametrize(
    ("wishes", "roles", "reason"),
    [
        (Wishes(), ("web",), None),
        (Wishes(), ("db", "*"), "offers of role db, * only; the pod wants web"),
        (Wishes(roles=("db", "web")), ("*", "web"), None),
        (Wishes(roles=("db",)), ("web",), "offers of role web only; the pod wants db"),
        (Wishes(roles=("ml", "x")), ("web",), "the pod wants offers of role ml, x, and the framework has web, db, *"),
        (Wishes(roles=()), ("web",), "the annotation k8s.mesosphere.io/roles names no role"),
    ],
)
def test_roles(wishes: Wishes, roles: tuple[str, ...], reason: str | None) -> None:
    expected = None if reason is None else ("roles", reason)
    assert said(wishes, held(*(pool(role) for role in roles))) == expected


def test_roles_that_nobody_has_are_told_in_few_words() -> None:
    """There is a text for each agent that objects."""
    objection = said(Wishes(roles=("x" * 250_000,)), held(pool("*")))
    assert objection is not None and len(objection[1]) < 400


def test_resources_count_by_role_the_best_liked_that_has_enough_first() -> None:
    little = Resources(cpus=100, mem=8_000_000)
    wishes = Wishes(roles=("web", "db"))
    there = held(pool("web", little), pool("db"), pool("*"))
    assert said(wishes, there) is None
    assert taken_by(pod(wishes=wishes), there, ROLES)[0].role == "db"
    assert said(Wishes(), there) == ("offers", "insufficient cpu (offers, short by 150m)")
    assert taken_by(pod(wishes=Wishes(roles=("db", "web"))), held(pool("db"), pool("web")), ROLES)[0].role == "db"


@pytest.mark.parametrize(
    ("numbers", "ports", "reason"),
    [
        ((31005,), ((31000, 32000),), None),
        ((8080,), ((31000, 32000),), "host port 8080/TCP not in the offered ports (31000-32000)"),
        ((31000, 31002), ((31000, 31001),), "host port 31002/TCP not in the offered ports (31000-31001)"),
        ((80,), (), "host port 80/TCP not in the offered ports (none)"),
    ],
)
def test_host_ports(numbers: tuple[int, ...], ports: Ports, reason: str | None) -> None:
    expected = None if reason is None else ("offeredPorts", reason)
    assert said(Wishes(), held(pool("web", ports=ports)), *numbers) == expected


def test_where_mesos_counts_no_ports_any_host_port_will_do() -> None:
    assert said(Wishes(), held(pool("web"), has_ports=False), 8080) is None


def test_ports_and_resources_are_of_one_role() -> None:
    there = held(pool("web", ports=((31000, 31000),)), pool("db", Resources(cpus=1), ((31001, 31001),)))
    wishes = Wishes(roles=("web", "db"))
    assert said(wishes, there, 31000) is None
    assert said(wishes, there, 31001) == ("offeredPorts", "host port 31001/TCP not in the offered ports (31000)")


@pytest.mark.parametrize(
    ("label", "by_default", "reason"),
    [
        ("", False, None),
        ("fixed", True, None),
        ("", True, "2 host ports are to be found (portMapping), and the offered ports are 31000"),
        ("wildcard", False, "2 host ports are to be found (portMapping), and the offered ports are 31000"),
    ],
)
def test_who_is_given_host_ports(label: str, by_default: bool, reason: str | None) -> None:
    settings = replace(ROLES, maps_ports=by_default)
    wishes = Wishes(port_mapping=label, open_ports=OPEN)
    expected = None if reason is None else ("offeredPorts", reason)
    assert said(wishes, held(pool("web", ports=((31000, 31000),))), settings=settings) == expected


def test_no_host_ports_are_found_where_mesos_offers_none() -> None:
    wishes = Wishes(port_mapping="wildcard", open_ports=OPEN)
    assert said(wishes, held(pool("web"), has_ports=False)) == (
        "offeredPorts",
        "2 host ports are to be found (portMapping), and Mesos offers none",
    )
    assert veto(pod(wishes=wishes), place(), SETTINGS) is None


def test_open_ports_are_given_the_lowest_offered_ones_besides_the_pods_own() -> None:
    wishes = Wishes(port_mapping="wildcard", open_ports=OPEN)
    one = pod(wishes=wishes, host_ports=frozenset({HostPort("TCP", "0.0.0.0", 31001)}))
    taken, left = taken_by(one, held(pool("web", ports=((31000, 31009),))), ROLES)
    assert taken.mapped == (31000, 31002)
    assert taken.shares[0].ports == ((31000, 31002),)
    assert left.pools[0].ports == ((31003, 31009),)


def test_a_pod_that_runs_takes_of_its_ports_those_that_are_offered() -> None:
    wishes = Wishes(port_mapping="wildcard", open_ports=OPEN, mapped_ports=(31000, 31002))
    ports = frozenset({HostPort("TCP", "0.0.0.0", 8080)})
    one = pod(wishes=wishes, host_ports=ports, node_name="agent-1")
    there = held(pool("web", ports=((31001, 31009),)))
    assert veto(one, place(held=there), ROLES) is None
    taken, _ = taken_by(one, there, ROLES)
    assert (taken.mapped, taken.shares[0].ports) == ((), ((31002, 31002),))


@pytest.mark.parametrize(
    ("down", "runs_s", "reason"),
    [
        (None, None, None),
        (Down(3600.0, "from A to B"), None, "maintenance from A to B"),
        (Down(3600.0, "from A to B"), 3600.0 - SETTINGS.launch_timeout_s, None),
        (Down(3600.0, "from A to B"), 3600.0, "maintenance from A to B"),
        (Down(-5.0, "from A, with no end"), 1.0, "maintenance from A, with no end"),
    ],
)
def test_maintenance(down: Down | None, runs_s: float | None, reason: str | None) -> None:
    expected = None if reason is None else ("maintenance", reason)
    assert said(Wishes(runs_at_most_s=runs_s), held(pool("web"), down=down)) == expected


def test_a_pod_that_runs_there_is_not_kept_from_it_by_maintenance() -> None:
    assert said(Wishes(), held(pool("web"), down=Down(5.0, "from A to B")), node_name="agent-1") is None


def test_an_executor_must_fit_into_one_part() -> None:
    there = held(structs.replace(pool("web"), has_room=False), executor=None)
    words = "the executor (0.1 cpus, 128 MiB) fits into no part of the offers that is reserved alike"
    assert said(Wishes(), there) == ("executorRoom", words)
    assert said(Wishes(roles=("web", "db")), held(*there.pools, pool("db"), executor=None)) is None


def test_who_starts_the_executor_pays_for_it_alone() -> None:
    web = structs.replace(pool("web"), executor=Flavour("web"))
    db = structs.replace(pool("db"), executor=Flavour("db"))
    taken, left = taken_by(pod(wishes=Wishes(roles=("db",))), held(web, db, executor=None), ROLES)
    assert (taken.executor, left.executor) == (Flavour("db"), Flavour("db"))
    assert left.pools[0] == pool("web", MUCH.plus(SETTINGS.executor_resources))
    assert left.pools[1].amount == MUCH.minus(Resources(cpus=250, mem=64000))


def test_taking_where_something_objects_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="nothing that is held of the agent has room for ns/web"):
        taken_by(pod(), held(pool("db")), ROLES)
