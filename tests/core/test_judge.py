"""Equal pods are judged once; what was taken is judged again; the answers are those of judging every pod anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar, cast

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kmsched.core.agent_filters import Down, Held
from kmsched.core.fit import FILTERS, TAKEN_FILTERS, Place, concerning, first_objection, veto
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
from kmsched.core.places import take_from
from kmsched.core.rank import Prospect, Prospects, at_best, prospect, score, worth
from kmsched.core.resources import NO_COUNTS, Counts, Resources, whole_counts
from kmsched.core.shares import Flavour, Share, charged, pool_of
from kmsched.core.state import State
from tests.core import values

SETTINGS = Settings(executor_id="km-1")
SHAKY = 1  # the number of the agent that is
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
    return Plan(number, place, place)


def prospects_of(plans: list[Plan], agents: list[tuple[int, int, int, str, bool]], placement: str) -> list[Prospect]:
    return [
        prospect(one.place, whole_counts(Resources(used, used)), placement, one.number == SHAKY)
        for one, (_, _, used, _, _) in zip(plans, agents, strict=True)
    ]


def done(work: Work[T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)


def best_for(judge: Judge, wanted: Pod) -> Plan | None:
    return judge.best(wanted, judge.known(wanted) or done(judge.prepare(wanted)))


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
    whole = [whole_counts(Resources(cpus=cpus + used, mem=mem + used)) for cpus, mem, used, _, _ in agents]
    plans = [plan(number, *each) for number, each in enumerate(agents)]
    prospects = Prospects.of(prospects_of(plans, agents, placement))
    judge = Judge(State(settings, term=1), plans, prospects, stride=stride)
    explained: set[object] = set()
    for number, (size, zone, only) in enumerate(pods):
        term = NodeTerm((Requirement("zone", "In", (zone,)),))
        rules = {"zone": only} if only else {}
        wanted = replace(pod(f"p{number}", *size), preferred=((3, term),) if zone else (), node_selector=rules)
        fits = [each for each in plans if veto(wanted, each.place, settings) is None]
        best = best_for(judge, wanted)
        if best is not None:
            points = {}
            for each in fits:
                place = each.place
                its = prospect(place, whole[each.number].minus(place.room), placement, each.number == SHAKY)
                points[each.number] = score(wanted, place, its)
            assert best.number == min(points, key=lambda number: (points[number], number))
            judge.assume(best, take_from(best.place, wanted, settings)[1])
            continue
        assert not fits
        obstacles = done(judge.why_not(wanted, done(judge.prepare(wanted)), {}))
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
    prospects = Prospects.of([prospect(there.place, NO_COUNTS, SPREAD)])
    judge = Judge(State(settings, term=1), [there], prospects)
    wanted = replace(pod("p0", 100, 10), wishes=Wishes(("web",)))
    other = pod("p1", 100, 10)
    assert best_for(judge, wanted) is None
    assert best_for(judge, other) is there
    judge.assume(there, take_from(there.place, other, settings)[1])
    assert best_for(judge, wanted) is there


@given(
    st.lists(AGENTS, min_size=1, max_size=8),
    st.tuples(AMOUNTS, AMOUNTS),
    st.integers(-20, 20),
    st.sampled_from([SPREAD, PACK]),
)
def test_no_agent_is_better_than_its_prospect_promises_or_than_one_before_it_in_the_line_with_the_least_of_all(
    agents: list[tuple[int, int, int, str, bool]], size: tuple[int, int], weight: int, placement: str
) -> None:
    term = NodeTerm((Requirement("zone", "In", ("a",)),))
    wanted = replace(pod("p", *size), preferred=((weight, term),))
    plans = [plan(number, *each) for number, each in enumerate(agents)]
    prospects = prospects_of(plans, agents, placement)
    least = min(its[2] for its in prospects), min(its[3] for its in prospects)
    line = sorted(zip(prospects, (each.place for each in plans), strict=True), key=lambda one: one[0])
    for number, ((first, at_rest, *_), _) in enumerate(line):
        limit = at_best(wanted, (first, at_rest, *least))
        for its, place in line[number:]:
            assert limit <= at_best(wanted, its) <= score(wanted, place, its)


@given(AGENTS, st.tuples(AMOUNTS, AMOUNTS), st.tuples(AMOUNTS, AMOUNTS), st.sampled_from([SPREAD, PACK]))
def test_who_is_not_told_to_be_better_is_better_for_nobody(
    agent: tuple[int, int, int, str, bool], taken: tuple[int, int], asked: tuple[int, int], placement: str
) -> None:
    there = plan(0, *agent)
    (before,) = prospects_of([there], [agent], placement)
    prospects = Prospects.of([before])
    left = there.place.less(pod("p", *taken))
    left = structs.replace(left, executor_id=SETTINGS.executor_id)
    is_better = prospects.take(0, left)
    wanted = pod("q", *asked).counts
    whole = there.place.room.plus(whole_counts(Resources(agent[2], agent[2])))
    assert prospects[0] == prospect(left, whole.minus(left.room), placement)
    assert is_better or worth(wanted, prospects[0]) >= worth(wanted, before)


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


def odd_places() -> list[Place]:
    """Between them all filters have something to object."""
    pools = tuple(
        pool_of(role, (Share("", Resources(cpus=cpus, mem=900), ((31000, 31001),)),))
        for role, cpus in (("*", 1), ("web", 900))
    )
    usual = plan(1, 900, 900, 0, "c", runs=True).place
    waits = structs.replace(usual.held, pools=pools, has_ports=True, down=Down(30.0, "soon"))
    return [
        structs.replace(usual, held=waits, is_cordoned=True),
        structs.replace(usual, taints=(Taint("slow", "", "NoSchedule"),), executor_id="km-2"),
        structs.replace(usual, used_ports=OTHERS["host_ports"], held=structs.replace(usual.held, pools=())),
        usual,
    ]


def test_filters_that_do_not_concern_a_pod_never_object() -> None:
    settings = replace(SETTINGS, roles=("*", "web"))
    varied = [pod("p1", 100, 10), *(replace(pod("p1", 100, 10), **{name: value}) for name, value in OTHERS.items())]
    for wanted in varied:
        for place in odd_places():
            spared = [row for row in FILTERS if row not in concerning(FILTERS, wanted)]
            assert first_objection(tuple(spared), wanted, place, settings) is None


def test_nothing_else_is_asked_of_a_pod() -> None:
    names: set[str] = set()
    of_room: set[str] = set()
    for wanted in (pod("p1", 100, 10), replace(pod("p1", 100, 10), **(OTHERS | {"node_name": "", "unsupported": ()}))):
        asked = cast(Pod, Asked(wanted, names))
        for place in odd_places():
            for _, objection in FILTERS:
                objection(asked, place, replace(SETTINGS, roles=("*", "web")))
            score(asked, place, prospect(place, NO_COUNTS, SPREAD))
            for _, objection in TAKEN_FILTERS:
                objection(cast(Pod, Asked(wanted, of_room)), place, replace(SETTINGS, roles=("*", "web")))
    assert names - {"is_bound"} <= OTHERS.keys()
    assert of_room - {"is_bound"} <= {"requests", "counts", "host_ports", "extended", "wishes"}
    assert {"host_ports", "wishes", "extended", "preferred", "tolerations", "node_affinity"} <= names
