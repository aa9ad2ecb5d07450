"""Which agent is the best: wishes, taints that ask to stay away, then spread or packed."""

from __future__ import annotations

import pytest
from msgspec import structs

from kmsched import flag_table
from kmsched.core.fit import Place
from kmsched.core.model import PACK, SPREAD, NodeTerm, Pod, Requirement, Taint, Toleration
from kmsched.core.rank import prospect, score
from kmsched.core.resources import NO_COUNTS, Counts
from tests.core.places import ROOM, place, pod

SSD = NodeTerm((Requirement("disk", "In", ("ssd",)),))
ZONE_A = NodeTerm((Requirement("zone", "In", ("a",)),))
TAINT = Taint("slow", "", "PreferNoSchedule")


def at(name: str, **more: object) -> Place:
    return place(agent_id=name, node_name=name, **more)


def scored(a_pod: Pod, its: Place, placement: str, full: Counts = NO_COUNTS) -> int:
    return score(a_pod, its, prospect(its, full, placement))


def best(a_pod: Pod, *places: Place, placement: str = SPREAD) -> str:
    return min(places, key=lambda each: (scored(a_pod, each, placement), each.agent_id)).agent_id


def order(a_pod: Pod, *places: Place, placement: str = SPREAD) -> list[str]:
    return [each.agent_id for each in sorted(places, key=lambda each: scored(a_pod, each, placement))]


def used(share: float) -> dict[str, object]:
    """Room of a node of which that share is used; `score` is told so by the caller."""
    return {"room": structs.replace(ROOM, cpu=round(ROOM.cpu * (1 - share)), memory=round(ROOM.memory * (1 - share)))}


@pytest.mark.parametrize("placement", [SPREAD, PACK])
def test_wishes_lead_and_their_weights_add_up(placement: str) -> None:
    wishing = pod(preferred=((10, SSD), (20, ZONE_A)))
    places = (
        at("n1", labels={}, executor_id="km-ours"),
        at("n2", labels={"disk": "ssd"}),
        at("n3", labels={"zone": "a"}, taints=(TAINT,)),
        at("n4", labels={"zone": "a", "disk": "ssd"}, taints=(TAINT,)),
    )
    assert order(wishing, *places, placement=placement) == ["n4", "n3", "n2", "n1"]


@pytest.mark.parametrize("placement", [SPREAD, PACK])
def test_a_taint_that_asks_to_stay_away_is_heeded_unless_it_is_tolerated(placement: str) -> None:
    slow, other = at("n1", taints=(TAINT,), executor_id="km-ours"), at("n2")
    assert best(pod(), slow, other, placement=placement) == "n2"
    tolerating = pod(tolerations=(Toleration("slow", "Exists", "", ""),))
    assert best(tolerating, slow, other, placement=placement) == "n1"


def test_spreading_takes_the_emptiest_and_packing_the_fullest_with_an_executor() -> None:
    def ranked(placement: str) -> list[str]:
        nodes = {"n1": (0.5, ""), "n2": (0.25, "km-ours"), "n3": (0.75, "km-ours"), "n4": (0.0, "")}
        places = [at(name, executor_id=executor, **used(share)) for name, (share, executor) in nodes.items()]
        full = {each.agent_id: ROOM.minus(each.room) for each in places}
        return [
            each.agent_id
            for each in sorted(places, key=lambda each: scored(pod(), each, placement, full[each.agent_id]))
        ]

    assert ranked(SPREAD) == ["n4", "n2", "n1", "n3"]
    assert ranked(PACK) == ["n3", "n2", "n1", "n4"]


@pytest.mark.parametrize("placement", [SPREAD, PACK])
def test_of_equal_agents_one_with_an_executor_is_the_best_then_the_first_by_id(placement: str) -> None:
    assert best(pod(), at("n3"), at("n2", executor_id="km-ours"), at("n1"), placement=placement) == "n2"
    assert best(pod(), at("n3"), at("n2"), placement=placement) == "n2"


def test_the_flag_offers_what_there_is() -> None:
    (flag,) = (each for each in flag_table.SCHEDULING if each.name == "placement")
    assert (flag.default, set(flag.choices)) == (SPREAD, {SPREAD, PACK})
