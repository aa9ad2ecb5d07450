"""Equal pods are judged once; what was taken is judged again; the answers are those of judging every pod anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar, cast

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kmsched.core.agent_filters import Down, Held
from kmsched.core.cycle import take
from kmsched.core.fit import FILTERS, TAKEN_FILTERS, Place, veto
from kmsched.core.judge import Judge, Plan, Work
from kmsched.core.kinds import ask_of, kind_of
from kmsched.core.model import (
    PACK,
    SPREAD,
    HostPort,
    NodeTerm,
    Pod,
    Requirement,
    Settings,
    Taint,
    Toleration,
    Unsupported,
    Wishes,
)
from kmsched.core.rank import at_best, best_of, prospect, score
from kmsched.core.resources import NO_COUNTS, Counts, Resources, whole_counts
from kmsched.core.shares import Flavour, Share, charged, pool_of
from kmsched.core.state import State
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
PODS = st.tuples(st.sampled_from([(50, 10), (100, 100), (10, 150), (300, 300), (0, 0)]), WISHES, WISHES)


@given(
    st.lists(AGENTS, min_size=1, max_size=8),
    st.lists(PODS, max_size=20),
    st.sampled_from([1, 2, 100]),
    st.sampled_from([SPREAD, PACK]),
)
def test_the_judge_answers_as_judging_every_pod_anew(
    agents: list[tuple[int, int, int, str, bool]],
    pods: list[tuple[tuple[int, int], str, str]],
    stride: int,
    placement: str,
) -> None:
    settings = replace(SETTINGS, placement=placement)
    plans = [plan(number, *each) for number, each in enumerate(agents)]
    judge = Judge(State(settings, term=1), plans, frozenset({"a1"}), stride=stride)
    explained: set[object] = set()
    for number, (size, zone, only) in enumerate(pods):
        term = NodeTerm((Requirement("zone", "In", (zone,)),))
        rules = {"zone": only} if only else {}
        wanted = replace(pod(f"p{number}", *size), preferred=((3, term),) if zone else (), node_selector=rules)
        fits = [each for each in plans if veto(wanted, each.place, settings) is None]
        best = done(judge.best(wanted))
        if best is not None:
            points = {each.number: score(wanted, each.place, each.used, placement, each.number == 1) for each in fits}
            assert best.number == min(points, key=lambda number: (points[number], number))
            judge.assume(best, wanted, *take(best.place, wanted, settings))
            continue
        assert not fits
        obstacles = done(judge.why_not(wanted, {}))
        if kind_of(wanted) not in explained:
            assert obstacles.vetoes == {each.place.agent_id: veto(wanted, each.place, settings) for each in plans}
        explained.add(kind_of(wanted))


def test_who_had_no_room_is_asked_again_when_another_role_pays_for_the_executor() -> None:
    needed = Resources(cpus=50)
    settings = replace(SETTINGS, roles=("*", "web"), pod_roles=("*",), executor_resources=needed)
    there = plan(0, 900, 900, 0, "a", runs=False)
    flavours = (Flavour("*"), Flavour("web"))
    pools = tuple(
        charged(pool_of(role, (Share("", Resources(cpus=cpus, mem=500)),)), needed, flavours)
        for role, cpus in (("*", 300), ("web", 100))
    )
    there.place = structs.replace(there.place, held=Held(pools, None))
    judge = Judge(State(settings, term=1), [there])
    wanted = replace(pod("p0", 100, 10), wishes=Wishes(("web",)))
    other = pod("p1", 100, 10)
    assert done(judge.best(wanted)) is None
    assert done(judge.best(other)) is there
    judge.assume(there, other, *take(there.place, other, settings))
    assert done(judge.best(wanted)) is there


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


#: another value of each field of a pod that some filter, or the ranking, may read
OTHERS: dict[str, Any] = {
    "node_name": "a1",
    "requests": Resources(cpus=101, mem=10, pods=1),
    "counts": Counts(cpu=1, pods=1),
    "node_selector": {"disk": "ssd"},
    "tolerations": (Toleration("slow", "Exists", "", ""),),
    "extended": (("example.com/fpga", 1),),
    "unsupported": (Unsupported("spec", "os windows"),),
    "is_privileged": True,
    "node_affinity": (NodeTerm((Requirement("zone", "Exists"),)),),
    "preferred": ((5, NodeTerm((Requirement("zone", "Exists"),))),),
    "host_ports": frozenset({HostPort("TCP", "0.0.0.0", 31000)}),
    "wishes": Wishes(("web", "*"), "wildcard", (("TCP", 80, ""),), (), 60.0),
}


def test_pods_that_differ_in_what_is_asked_are_of_another_kind() -> None:
    one = pod("p1", 100, 10)
    like = replace(one, uid="p2", key="default/p2", priority=7, created_s=9.0, owner_uid="somebody")
    assert kind_of(one) == kind_of(like)
    assert kind_of(one, is_refused=True) != kind_of(like, is_refused=True)
    for name, value in OTHERS.items():
        assert kind_of(one) != kind_of(replace(one, **{name: value})), name


def test_pods_that_differ_in_rules_alone_ask_for_the_same() -> None:
    one = pod("p1", 100, 10)
    rules = {"node_name", "node_selector", "tolerations", "unsupported", "is_privileged", "node_affinity"}
    for name, value in OTHERS.items():
        assert (ask_of(one, False) == ask_of(replace(one, **{name: value}), False)) == (name in rules), name


class Asked:
    """A pod that notes what is asked of it."""

    def __init__(self, of: Pod, names: set[str]) -> None:
        self.of = of
        self.names = names

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.of, name)


def test_nothing_else_is_asked_of_a_pod() -> None:
    names: set[str] = set()
    of_room: set[str] = set()
    pools = tuple(
        pool_of(role, (Share("", Resources(cpus=cpus, mem=900), ((31000, 31001),)),))
        for role, cpus in (("*", 1), ("web", 900))
    )
    usual = plan(1, 900, 900, 0, "c", runs=True).place
    waits = structs.replace(usual.held, pools=pools, has_ports=True, down=Down(30.0, "soon"))
    places = [
        structs.replace(usual, held=waits, is_cordoned=True),
        structs.replace(usual, taints=(Taint("slow", "", "NoSchedule"),), executor_id="km-2"),
        structs.replace(usual, used_ports=OTHERS["host_ports"], held=structs.replace(usual.held, pools=())),
        usual,
    ]
    for wanted in (pod("p1", 100, 10), replace(pod("p1", 100, 10), **(OTHERS | {"node_name": "", "unsupported": ()}))):
        asked = cast(Pod, Asked(wanted, names))
        for place in places:
            for _, objection in FILTERS:
                objection(asked, place, replace(SETTINGS, roles=("*", "web")))
            score(asked, place, NO_COUNTS, SPREAD)
            for _, objection in TAKEN_FILTERS:
                objection(cast(Pod, Asked(wanted, of_room)), place, replace(SETTINGS, roles=("*", "web")))
    assert names - {"is_bound"} <= OTHERS.keys()
    assert of_room - {"is_bound"} <= {"requests", "counts", "host_ports", "extended", "wishes"}
    assert {"host_ports", "wishes", "extended", "preferred", "tolerations", "node_affinity"} <= names
