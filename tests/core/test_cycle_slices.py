"""A cycle in slices: the same placements as in one go, and right ones whatever happens between two slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kmsched.core.cycle import LONGEST_CYCLE_S
from kmsched.core.effects import AcceptOffers, DeclineOffers, Effect
from kmsched.core.events import (
    AgentFailed,
    CycleInterrupted,
    Disconnected,
    Event,
    ExecutorFailed,
    NodeChanged,
    OfferRescinded,
    OffersArrived,
    PodChanged,
    PodDeleted,
    Ticked,
)
from kmsched.core.fit import veto
from kmsched.core.model import PACK, SPREAD, Node, Offer, Pod
from kmsched.core.places import place_of, take_from
from kmsched.core.rank import prospect, score
from kmsched.core.resources import Resources
from tests.core.values import EXECUTOR, PLENTY, SETTINGS, SMALL, Fold, node, offer, pod

ONE_BY_ONE = replace(SETTINGS, slice_work=1)


def launched(effects: Iterable[Effect]) -> dict[str, str]:
    """Pod uid -> agent id."""
    accepts = [effect for effect in effects if isinstance(effect, AcceptOffers)]
    return {launch.pod_uid: accept.agent_id for accept in accepts for launch in accept.launches}


def begun(fold: Fold, *offers: Offer) -> list[Effect]:
    """The first slice."""
    fold.take(OffersArrived(offers))
    effects = fold.tick()
    assert fold.state.cycle is not None
    return effects


def all_planned(make: Callable[[], Fold], *offers: Offer) -> Fold:
    """The next slice would launch; how far that is, another fold that is made alike has told."""
    first, fold = make(), make()
    begun(first, *offers)
    begun(fold, *offers)
    while not launched(first.take(CycleInterrupted())):
        if first.state.cycle is not None:
            fold.take(CycleInterrupted())
    return fold


def scan(fold: Fold) -> Mapping[str, str]:
    """What looking at every agent for every pod gives."""
    state = fold.state
    places = {agent.agent_id: place_of(state, agent, fold.now) for agent in state.offers.usable(fold.now)}
    used = {agent_id: state.used_on(place.node_name) for agent_id, place in places.items()}
    found = {}
    for one in [state.pods[uid].pod for uid in state.queue.active()]:
        fits = [a for a, place in places.items() if veto(one, place, state.settings) is None]
        if fits:
            its = {a: prospect(places[a], used[a], state.settings.placement) for a in fits}
            best = min(fits, key=lambda a: (score(one, places[a], its[a]), a))
            found[one.uid] = best
            used[best] = used[best].plus(one.counts)
            places[best] = take_from(places[best], one, state.settings)[1]
    return found


SIZES = st.sampled_from([Resources(500, 100_000, pods=1), Resources(1000, 2_000_000, pods=1), Resources(50, pods=1)])
PODS = st.lists(st.tuples(SIZES, st.sampled_from(["", "a", "b"]), st.integers(0, 2)), max_size=12)
AGENTS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["a", "b"]), st.booleans()), max_size=5
)


def world(pods: list[tuple[Resources, str, int]], agents: list[tuple[int, int, str, bool]], **more: Any) -> Fold:
    waiting: list[Pod] = []
    for number, (size, zone, priority) in enumerate(pods):
        selector = {"zone": zone} if zone else {}
        waiting.append(pod(f"u{number}", requests=size, priority=priority, node_selector=selector))
    nodes: list[Node] = []
    offers: list[Offer] = []
    for number, (cpus, mem, zone, runs) in enumerate(agents):
        nodes.append(node(f"a{number}", labels={"zone": zone}))
        ids = frozenset({EXECUTOR} if runs else ())
        offers.append(
            offer(f"o{number}", f"A{number}", resources=Resources(100 * cpus, 100_000 * mem), executor_ids=ids)
        )
    fold = Fold(*waiting, nodes=tuple(nodes), settings=replace(SETTINGS, **more))
    fold.take(OffersArrived(tuple(offers)))
    return fold


@given(PODS, AGENTS, st.sampled_from([SPREAD, PACK]))
def test_one_slice_or_many_place_as_looking_at_every_agent_for_every_pod(
    pods: list[tuple[Resources, str, int]], agents: list[tuple[int, int, str, bool]], placement: str
) -> None:
    expected = scan(world(pods, agents, placement=placement))
    for work in (1, 7, 4000):
        fold = world(pods, agents, placement=placement, slice_work=work)
        assert launched([*fold.tick(), *fold.finish()]) == expected
        assert fold.state.queue.counts()["unschedulable"] == len(pods) - len(expected)


def test_nothing_is_launched_before_all_is_planned_and_then_agent_by_agent() -> None:
    fold = Fold(pod("u1"), pod("u2"), settings=ONE_BY_ONE)
    assert launched(begun(fold, offer("o1", "A1"), offer("o2", "A2"))) == {}
    assert fold.state_of("u1") == "pending"
    accepts = [found for _ in range(20) if (found := launched(fold.take(CycleInterrupted())))]
    assert accepts == [{"u1": "A1"}, {"u2": "A2"}]
    assert fold.state.cycle is None


@pytest.mark.parametrize(
    ("news", "waits"),
    [
        (OfferRescinded("o1"), True),
        (NodeChanged(node(is_unschedulable=True)), True),
        (PodChanged(pod("u1", resource_version="2", requests=PLENTY.plus(SMALL))), True),
        (PodChanged(pod("other", node_name="a1", scheduler_name="x", requests=PLENTY)), True),
        (AgentFailed("A1"), True),
        (ExecutorFailed("A1", EXECUTOR), True),
        (PodDeleted("ns/u1", "u1"), False),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, bool) else "",
)
def test_what_is_planned_is_asked_again_before_it_is_launched(news: Event, waits: bool) -> None:
    """And the pod that cannot go waits for the next cycle, with all that waited for its sake."""
    listed = frozenset({EXECUTOR})
    fold = all_planned(lambda: Fold(pod("u1"), nodes=(node(),), settings=ONE_BY_ONE), offer("o1", executor_ids=listed))
    fold.take(news)
    assert launched(fold.finish()) == {}
    assert ("u1" in set(fold.state.queue.active())) is waits
    assert fold.state.wants_cycle


def test_a_pod_that_changed_and_still_fits_is_launched_with_what_it_asks_now() -> None:
    fold = all_planned(lambda: Fold(pod("u1"), settings=ONE_BY_ONE), offer())
    smaller = structs.replace(SMALL, cpus=100)
    fold.take(PodChanged(pod("u1", resource_version="2", requests=smaller)))
    (accept,) = [effect for effect in fold.finish() if isinstance(effect, AcceptOffers)]
    assert accept.launches[0].resources == smaller


def test_offers_that_come_meanwhile_are_for_the_next_cycle_and_wake_who_was_found_to_fit_nowhere() -> None:
    huge = structs.replace(PLENTY, cpus=8000, pods=1)
    fold = Fold(pod("u1", requests=huge), pod("u2"), settings=ONE_BY_ONE)
    begun(fold, offer("o1", "A1"))
    fold.take(OffersArrived((offer("o2", "A2", resources=PLENTY.plus(PLENTY).plus(PLENTY)),)))
    assert launched(fold.finish()) == {"u2": "A1"}
    assert launched([*fold.tick(), *fold.finish()]) == {"u1": "A2"}


def test_offers_are_kept_while_a_cycle_is_under_way_and_declined_after_it() -> None:
    fold = Fold(pod("u1"), settings=ONE_BY_ONE)
    begun(fold, offer("o1", "A1"), offer("o2", "A2"))
    assert fold.take(Ticked()) == []
    assert fold.state.cycle is not None
    fold.now += SETTINGS.offer_ttl_s
    effects = [*fold.take(Ticked()), *fold.finish()]
    assert [type(effect) for effect in effects[:2]] == [AcceptOffers, DeclineOffers]


def test_a_long_cycle_launches_what_it_has_planned_and_leaves_the_rest() -> None:
    fold = Fold(*(pod(f"u{n}") for n in range(4)), settings=ONE_BY_ONE)
    begun(fold, offer())
    fold.now += LONGEST_CYCLE_S
    assert sorted(launched(fold.finish())) == ["u0"]
    assert fold.state.wants_cycle


def test_a_cycle_ends_with_its_subscription() -> None:
    fold = all_planned(lambda: Fold(pod("u1"), settings=ONE_BY_ONE), offer())
    fold.take(Disconnected("gone"))
    assert launched(fold.finish()) == {}
    assert fold.state_of("u1") == "pending"
    assert fold.state.wants_cycle


@pytest.mark.parametrize("slices", range(1, 8))
def test_a_pod_that_is_bound_by_another_while_it_is_found_to_fit_nowhere_is_not_told_to_wait(slices: int) -> None:
    huge = structs.replace(PLENTY, cpus=8000, pods=1)
    fold = Fold(pod("u1", requests=huge), settings=ONE_BY_ONE)
    begun(fold, offer("o1", "A1"), offer("o2", "A2"))
    for _ in range(slices):
        if fold.state.cycle is not None:
            fold.take(CycleInterrupted())
    fold.take(PodChanged(pod("u1", resource_version="2", requests=huge, node_name="n9", task_id="u1.1.9")))
    assert launched(fold.finish()) == {}
    assert fold.state_of("u1") == "checking"
    assert not any(fold.state.queue.counts().values())
