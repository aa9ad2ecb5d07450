"""Agents with offers of several roles, reserved and not: where executors go, and what each ACCEPT has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kmsched.core.effects import AcceptOffers, BindPod
from kmsched.core.events import OffersArrived, TaskState
from kmsched.core.model import Offer, Window, Wishes
from kmsched.core.places import place_of
from kmsched.core.resources import Resources
from kmsched.core.shares import Flavour, Share
from tests.core.values import PLENTY, SETTINGS, SMALL, Fold, offer, pod, update

WEB, DB = Flavour("web", "static web"), Flavour("db", "static db")
ROLES = replace(
    SETTINGS,
    roles=("*", "web", "db"),
    pod_roles=("*", "web", "db"),
    other_flavours={Flavour("web"): "km-ours.w", WEB: "km-ours.ws", Flavour("db"): "km-ours.d", DB: "km-ours.ds"},
)
TIGHT = Resources(cpus=600, mem=1_000_000)


def of(role: str, offer_id: str = "", **more: Any) -> Offer:
    return offer(offer_id or f"o-{role}", role=role, **more)


def wanting(*roles: str, uid: str = "u1") -> Any:
    return pod(uid, wishes=Wishes(roles=roles))


def accepts(fold: Fold, *offers: Offer) -> list[AcceptOffers]:
    fold.launch(*offers)
    return fold.of(AcceptOffers)


def test_each_role_has_an_accept_of_its_own_and_the_first_starts_the_executor() -> None:
    fold = Fold(wanting("db", uid="u1"), wanting("web", uid="u2"), settings=ROLES)
    first, second = accepts(fold, of("web", resources=SMALL.without_pods()), of("db", resources=TIGHT))
    assert (first.role, first.offer_ids, [one.pod_uid for one in first.launches]) == ("db", ("o-db",), ["u1"])
    assert (second.role, second.offer_ids, [one.pod_uid for one in second.launches]) == ("web", ("o-web",), ["u2"])
    assert {(one.executor_id, one.flavour) for one in (first, second)} == {("km-ours.d", Flavour("db"))}
    assert not fold.state.offers.agent_of


def test_offers_of_a_role_that_nothing_is_launched_of_are_held_on() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    (accept,) = accepts(fold, of("*"), of("web"))
    assert accept.offer_ids == ("o-web",)
    assert list(fold.state.offers.agent_of) == ["o-*"]


def test_what_is_reserved_for_the_role_is_used_and_may_hold_the_executor() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    reserved = (Share(WEB.reservation, TIGHT),)
    (accept,) = accepts(fold, of("web", resources=TIGHT, reserved=reserved))
    assert (accept.executor_id, accept.flavour) == ("km-ours.ws", WEB)
    assert accept.launches[0].shares == (Share(WEB.reservation, SMALL.without_pods()),)


def test_a_task_takes_of_both_what_is_reserved_and_what_is_not() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    reserved = (Share("dynamic", Resources(cpus=300, mem=50_000)),)
    (accept,) = accepts(fold, of("web", resources=TIGHT, reserved=reserved))
    assert accept.flavour == Flavour("web")
    assert accept.launches[0].shares == (
        Share("dynamic", Resources(cpus=300, mem=50_000)),
        Share("", Resources(cpus=200, mem=50_000)),
    )


@pytest.mark.parametrize(("executor_id", "flavour"), [("km-ours", Flavour("*")), ("km-ours.ds", DB)])
def test_an_executor_that_runs_is_joined_as_what_it_is(executor_id: str, flavour: Flavour) -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    (accept,) = accepts(fold, of("web", resources=SMALL.without_pods(), executor_ids=frozenset({executor_id})))
    assert (accept.executor_id, accept.flavour) == (executor_id, flavour)


def test_an_executor_of_a_role_that_is_given_up_takes_no_new_pods() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    assert not accepts(fold, of("web", executor_ids=frozenset({"km-ours.gone"})))
    words = "km-ours.gone, whose own resources are of a role that is not in --mesos-framework-roles"
    assert fold.record().vetoes["A1"].reason == f"executor of another fingerprint ({words})"


def test_offers_from_before_an_executor_was_started_do_not_start_another_one() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    (accept,) = accepts(fold, of("web"))
    assert accept.flavour == Flavour("web")
    fold.take(OffersArrived((of("*", "late"), of("web", "later"))))
    place = place_of(fold.state, fold.state.offers.agents["A1"], fold.now)
    assert {pool.role: (pool.executor, pool.has_room) for pool in place.held.pools} == {
        "*": (None, False),
        "web": (Flavour("web"), True),
    }


def test_offers_of_a_role_that_is_not_ours_any_more_are_of_no_use() -> None:
    fold = Fold(wanting("web"), settings=ROLES)
    assert not accepts(fold, of("old"))
    assert fold.record().vetoes["A1"].filter in ("roles", "offers")


def test_host_ports_that_were_found_are_told_by_the_binding() -> None:
    wishes = Wishes(port_mapping="wildcard", open_ports=(("TCP", 80, "http"), ("UDP", 53, "")))
    fold = Fold(pod(wishes=wishes))
    (launch,) = fold.launch(offer(ports=((31000, 31009),)))
    assert launch.shares[0].ports == ((31000, 31001),)
    fold.take(update(launch.task_id, TaskState.STARTING, update_id="s1"))
    (bind,) = fold.of(BindPod)
    assert [each for each in bind.annotations if "/port" in each[0]] == [
        ("k8s.mesosphere.io/port_TCP_80", "31000"),
        ("k8s.mesosphere.io/portName_TCP_http", "31000"),
        ("k8s.mesosphere.io/port_UDP_53", "31001"),
    ]


def test_a_task_whose_host_ports_nobody_knows_any_more_is_not_taken_over() -> None:
    wishes = Wishes(port_mapping="wildcard", open_ports=(("TCP", 80, ""),))
    fold = Fold(pod(wishes=wishes), pod("u2"))
    fold.take(OffersArrived((offer(resources=Resources(cpus=1)),)))
    for uid in ("u1", "u2"):
        fold.take(update(f"{uid}.1.5", TaskState.STARTING))
    assert (fold.record("u1").task_id, fold.record("u2").task_id) == ("", "u2.1.5")


def test_an_agent_that_once_offered_ports_has_them_all_taken_when_it_offers_none() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(ports=((31000, 31000),)), offer("o2"))))
    agent = fold.state.offers.agents["A1"]
    fold.state.offers.rescind("o1")
    assert place_of(fold.state, agent, fold.now).held.has_ports


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(1_800_000_000.0, 1_800_007_200.0), "from 2027-01-15 08:00 UTC to 2027-01-15 10:00 UTC"),
        (Window(1_800_000_000.0, None), "from 2027-01-15 08:00 UTC, with no end"),
        (Window(1_000.0, 1_799_999_000.0), None),
    ],
)
def test_maintenance_is_told_in_wall_time_and_counted_in_ours(window: Window, words: str | None) -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(unavailable=window),), wall_s=1_799_999_000.0))
    down = place_of(fold.state, fold.state.offers.agents["A1"], fold.now + 10.0).held.down
    assert (down.words if down else None) == words
    if down is not None:
        assert down.in_s == 990.0


def test_an_agent_under_maintenance_is_told_as_such() -> None:
    fold = Fold(pod())
    assert not fold.launch(offer(resources=PLENTY, unavailable=Window(1_800_000_000.0, None)))
    assert fold.record().vetoes["A1"].reason == "maintenance from 2027-01-15 08:00 UTC, with no end"
