"""Equal pods are judged once; what was taken is judged again; the answers are those of judging every pod anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, cast

from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.agent_filters import Held
from kmsched.core.cycle import take
from kmsched.core.fit import Place, veto
from kmsched.core.judge import Judge, Plan, Work, kind_of
from kmsched.core.model import PACK, SPREAD, NodeTerm, Pod, Requirement, Settings, Taint
from kmsched.core.rank import at_best, best_of, prospect, score
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.shares import Flavour, Share, pool_of
from kmsched.core.state import PodRecord, State
from kmsched.core.tasks import PodState
from tests.core import values

SETTINGS = Settings(executor_id="km-1")
T = TypeVar("T")


def pod(uid: str, cpus: int, mem: int) -> Pod:
    return values.pod(uid, requests=Resources(cpus=cpus, mem=mem, pods=1))


def plan(number: int, cpus: int, mem: int, used: int, zone: str, runs: bool) -> Plan:
    """In zone c pods are not welcome."""
    name = f"a{number}"
    free = Resources(cpus=cpus, mem=mem, pods=110)
    held = Held((pool_of("*", (Share("", free),)),), Flavour("*"))
    place = Place(
        agent_id=name,
        hostname=name,
        node_name=name,
        offered=free,
        room=whole_counts(free),
        labels={"zone": zone},
        taints=(Taint("slow", "", "PreferNoSchedule"),) if zone == "c" else (),
        executor_id=SETTINGS.executor_id if runs else "",
        held=held,
    )
    return Plan(number, place, whole_counts(Resources(cpus=used, mem=used)), place)


def done(work: Work[T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)


AMOUNTS = st.integers(0, 400)
AGENTS = st.tuples(AMOUNTS, AMOUNTS, st.sampled_from([0, 0, 50]), st.sampled_from("abc"), st.booleans())
WISHES = st.sampled_from(["", "", "a", "b"])
PODS = st.tuples(st.sampled_from([(50, 10), (100, 100), (10, 150), (300, 300), (0, 0)]), WISHES)


@given(
    st.lists(AGENTS, min_size=1, max_size=8),
    st.lists(PODS, max_size=20),
    st.sampled_from([1, 2, 100]),
    st.sampled_from([SPREAD, PACK]),
)
def test_the_judge_answers_as_judging_every_pod_anew(
    agents: list[tuple[int, int, int, str, bool]],
    pods: list[tuple[tuple[int, int], str]],
    stride: int,
    placement: str,
) -> None:
    settings = replace(SETTINGS, placement=placement)
    plans = [plan(number, *each) for number, each in enumerate(agents)]
    judge = Judge(State(settings, term=1), plans, frozenset({"a1"}), stride=stride)
    explained: set[object] = set()
    for number, (size, zone) in enumerate(pods):
        term = NodeTerm((Requirement("zone", "In", (zone,)),))
        wanted = replace(pod(f"p{number}", *size), preferred=((3, term),) if zone else ())
        fits = [each for each in plans if veto(wanted, each.place, settings) is None]
        best = done(judge.best(wanted))
        if best is not None:
            points = {each.number: score(wanted, each.place, each.used, placement, each.number == 1) for each in fits}
            assert best.number == min(points, key=lambda number: (points[number], number))
            judge.assume(best, wanted, *take(best.place, wanted, settings))
            continue
        assert not fits
        obstacles = done(judge.why_not(PodRecord(pod=wanted, state=PodState.PENDING)))
        if kind_of(wanted) not in explained:
            assert obstacles.vetoes == {each.place.agent_id: veto(wanted, each.place, settings) for each in plans}
        explained.add(kind_of(wanted))


@given(
    st.lists(AGENTS, min_size=1, max_size=8),
    st.tuples(AMOUNTS, AMOUNTS),
    st.integers(-20, 20),
    st.sampled_from([SPREAD, PACK]),
)
def test_no_agent_is_better_than_its_prospect_promises(
    agents: list[tuple[int, int, int, str, bool]], size: tuple[int, int], weight: int, placement: str
) -> None:
    term = NodeTerm((Requirement("zone", "In", ("a",)),))
    wanted = replace(pod("p", *size), preferred=((weight, term),))
    plans = [plan(number, *each) for number, each in enumerate(agents)]
    prospects = [prospect(each.place, each.used, placement) for each in plans]
    limit = at_best(wanted, best_of(prospects), placement)
    for one, each in zip(prospects, plans, strict=True):
        assert at_best(wanted, one, placement) <= score(wanted, each.place, each.used, placement)
        assert limit <= score(wanted, each.place, each.used, placement)


def test_pods_of_another_size_or_with_other_rules_are_of_another_kind() -> None:
    one = pod("p1", 100, 10)
    like = replace(one, uid="p2", key="default/p2", priority=7, created_s=9.0, owner_uid="somebody")
    assert kind_of(one) == kind_of(like)
    assert kind_of(one, is_refused=True) != kind_of(like, is_refused=True)
    assert kind_of(one) != kind_of(replace(one, requests=Resources(cpus=101, mem=10, pods=1)))
    assert kind_of(one) != kind_of(replace(one, node_selector={"disk": "ssd"}))
    assert kind_of(one) != kind_of(replace(one, is_privileged=True))
