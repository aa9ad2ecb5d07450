"""A scheduling cycle: every pod that waits × every offer that is held; several pods per ACCEPT.

Orphaned pods first: they run already, on an agent that only they can go to.  Fit is `core.fit`'s, order `core.queue`'s
and `core.rank`'s; here is only who gets what, and what people are told about those that get nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from kmsched.core.effects import AcceptOffers, Launch, ReportPod
from kmsched.core.fit import Veto, explain, veto
from kmsched.core.judge import Judge, Obstacles, Plan, kind_of
from kmsched.core.offers import Fate, LetGo
from kmsched.core.places import place_of, take_from
from kmsched.core.pods import apply, give_task
from kmsched.core.state import PodRecord, State
from kmsched.core.tasks import Trigger

#: a pod that waits is not talked about before this: offers need a moment to come
REPORT_AFTER_S = 2.0


def run_cycle(state: State, now: float) -> None:
    state.wants_cycle = False
    plans = {a.agent_id: Plan(place_of(state, a, now)) for a in state.offers.usable(now)}
    judge = Judge(state, plans, state.shaky.now(now))
    for uid in sorted(state.orphans):
        _adopt(state, state.pods[uid], judge, now)
    for pod in state.queue.active():
        _place(state, state.pods[pod.uid], judge, now)
    for agent_id, plan in plans.items():
        if plan.launches:
            _accept(state, agent_id, plan, now)


def _adopt(state: State, record: PodRecord, judge: Judge, now: float) -> None:
    plan = judge.plans.get(state.offers.by_node.get(record.pod.node_name, ""))
    if plan is None:
        return
    objection = veto(record.pod, plan.place, state.settings)
    if objection is None:
        _take(state, record, plan, judge, "adopt", now)
    else:
        record.vetoes = {plan.place.agent_id: objection}


def _place(state: State, record: PodRecord, judge: Judge, now: float) -> None:
    best, vetoes = judge.best(record.pod)
    if best is not None:
        _take(state, record, best, judge, "bind", now)
        return
    obstacles = _obstacles(state, record, judge, vetoes)
    record.vetoes = obstacles.vetoes
    state.queue.park(record.pod.uid)
    _report(state, record, obstacles, now)


def _obstacles(state: State, record: PodRecord, judge: Judge, vetoes: Mapping[str, Veto]) -> Obstacles:
    """Made once in a cycle for equal pods with equal past: thousands of them may wait, for thousands of agents."""
    before = record.vetoes
    key = (kind_of(record.pod), id(before) if before else 0)
    found = judge.obstacles.get(key)
    if found is None:
        merged = {a: v for a, v in before.items() if a in state.offers.agents} | dict(vetoes)
        causes = frozenset(f"{v.filter}/{v.ledger}" if v.shortfall else v.reason for v in merged.values())
        found = judge.obstacles[key] = Obstacles(before, merged, causes)
    return found


def _take(state: State, record: PodRecord, plan: Plan, judge: Judge, mode: str, now: float) -> None:
    pod, place = record.pod, plan.place
    task_id = state.new_task_id(pod.uid)
    give_task(state, record, task_id, place.agent_id, place.node_name)
    record.promised = pod.requests
    record.vetoes = {}
    record.told = None
    apply(state, record, Trigger.LAUNCHED, now, f"{mode} on {place.hostname} as {task_id}")
    taken, place = take_from(place, pod, state.settings)
    plan.flavour = taken.executor
    record.executor_id = state.settings.id_of(taken.executor)
    record.mapped_ports = taken.mapped
    plan.launches.setdefault(taken.role, []).append(Launch(task_id, pod.key, pod.uid, mode, pod.requests, taken.shares))
    if mode == "bind":
        place = place.less(pod)
    judge.changed(plan, place)


def _accept(state: State, agent_id: str, plan: Plan, now: float) -> None:
    """One ACCEPT a role: Mesos takes no offers of several in one.  The first starts the executor, if none runs."""
    for role, launches in sorted(plan.launches.items(), key=lambda each: each[0] != plan.flavour.role):
        pods = ", ".join(launch.pod_key for launch in launches)
        offer_ids = state.offers.take(agent_id, LetGo(now, Fate.ACCEPTED, f"for {len(launches)} pods"), role)
        for launch in launches:
            state.pods[launch.pod_uid].offer_ids = offer_ids
        state.emit(
            AcceptOffers(
                agent_id=agent_id,
                offer_ids=offer_ids,
                launches=tuple(launches),
                refuse_s=0.0,
                cause="cycle",
                reason=f"{plan.place.hostname} takes {len(launches)}: {pods}",
                role=role,
                executor_id=state.settings.id_of(plan.flavour),
                flavour=plan.flavour,
            )
        )


def _report(state: State, record: PodRecord, obstacles: Obstacles, now: float) -> None:
    """Tell people why the pod waits: once per cause, not per try."""
    ready_at = record.waiting_since + REPORT_AFTER_S
    if now < ready_at:
        state.report_at = min(ready_at, state.report_at) if state.report_at is not None else ready_at
        return
    if record.told is not None and obstacles.causes <= record.told:
        return
    record.told = obstacles.causes | (record.told or frozenset())
    obstacles.words = words = obstacles.words or explain_vetoes(obstacles.vetoes, known_agents(state))
    about = "; ".join(sorted(obstacles.causes)) or "no offer"
    pod = record.pod
    state.emit(
        ReportPod(pod.key, pod.uid, "Warning", "FailedScheduling", words, cause="cycle", reason=words, about=about)
    )


def known_agents(state: State) -> int:
    """That have offered something, or have a Node."""
    return len({agent.node_name for agent in state.offers.agents.values()} | state.nodes.keys())


def explain_vetoes(vetoes: Mapping[str, Veto], agents: int) -> str:
    """ "0/3 agents: 2 insufficient cpu (...), 1 taint ..." """
    return explain(list(vetoes.values()), max(agents, len(vetoes)))
