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
from kmsched.core.model import SPREAD, Phase, Pod, Settings
from kmsched.core.rank import score
from kmsched.core.resources import NO_COUNTS, Resources, whole_counts
from kmsched.core.shares import Flavour, Share, pool_of
from kmsched.core.state import PodRecord, State
from kmsched.core.tasks import PodState

SETTINGS = Settings(executor_id="km-1")
T = TypeVar("T")


def pod(uid: str, cpus: int, mem: int) -> Pod:
    wanted = Resources(cpus=cpus, mem=mem, pods=1)
    return Pod(
        key=f"default/{uid}",
        uid=uid,
        resource_version="1",
        scheduler_name="default-scheduler",
        node_name="",
        phase=Phase.PENDING,
        is_terminating=False,
        is_static=False,
        is_gated=False,
        priority=0,
        created_s=0.0,
        requests=wanted,
        counts=whole_counts(wanted),
    )


def plan(name: str, cpus: int, mem: int) -> Plan:
    free = Resources(cpus=cpus, mem=mem, pods=110)
    held = Held((pool_of("*", (Share("", free),)),), Flavour("*"))
    place = Place(agent_id=name, hostname=name, node_name=name, offered=free, room=whole_counts(free), held=held)
    return Plan(place, used=NO_COUNTS)


def done(work: Work[T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=6),
    st.lists(st.sampled_from([(50, 10), (100, 100), (10, 150), (300, 300)]), max_size=20),
    st.sampled_from([1, 2, 100]),
)
def test_the_judge_answers_as_judging_every_pod_anew(
    agents: list[tuple[int, int]], pods: list[tuple[int, int]], shortlist: int
) -> None:
    plans = {f"a{i}": plan(f"a{i}", *size) for i, size in enumerate(agents)}
    judge = Judge(State(SETTINGS, term=1), plans, shortlist=shortlist)
    explained: set[tuple[int, int]] = set()
    for number, size in enumerate(pods):
        wanted = pod(f"p{number}", *size)
        fits = {a: p for a, p in plans.items() if veto(wanted, p.place, SETTINGS) is None}
        best = done(judge.best(wanted))
        if best is not None:
            assert best.place.agent_id == min(fits, key=lambda a: score(wanted, fits[a].place, fits[a].used, SPREAD))
            judge.assume(best, wanted, take(best.place, wanted, SETTINGS)[1])
            continue
        assert not fits
        obstacles = done(judge.why_not(PodRecord(pod=wanted, state=PodState.PENDING)))
        if size not in explained:
            assert obstacles.vetoes == {a: veto(wanted, p.place, SETTINGS) for a, p in plans.items()}
        explained.add(size)


def test_pods_of_another_size_or_with_other_rules_are_of_another_kind() -> None:
    one = pod("p1", 100, 10)
    like = replace(one, uid="p2", key="default/p2", priority=7, created_s=9.0, owner_uid="somebody")
    assert kind_of(one) == kind_of(like)
    assert kind_of(one, is_refused=True) != kind_of(like, is_refused=True)
    assert kind_of(one) != kind_of(replace(one, requests=Resources(cpus=101, mem=10, pods=1)))
    assert kind_of(one) != kind_of(replace(one, node_selector={"disk": "ssd"}))
    assert kind_of(one) != kind_of(replace(one, is_privileged=True))
