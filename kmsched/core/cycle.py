"""A scheduling cycle: every pod that waits × every offer that is held; several pods per ACCEPT.

First it plans: orphaned pods, which run already, on an agent that only they can go to, then the queue in its order.
Then it commits, agent by agent.  It is done in slices of bounded work, and between two of them anything may happen.
So a plan changes nothing but what people are told of pods that get nothing, and what was planned is asked again, of
the agent as it has become, before it is launched; who has no place there any more waits for the next cycle.

Fit is `core.fit`'s, order `core.queue`'s and `core.rank`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from kmsched.core.effects import AcceptOffers, Launch, ReportPod
from kmsched.core.fit import Place, Veto, explain, veto
from kmsched.core.judge import STRIDE, Judge, Obstacles, Plan, Take, Work
from kmsched.core.model import Pod
from kmsched.core.offers import Fate, LetGo
from kmsched.core.places import place_of, take_from
from kmsched.core.pods import apply, give_task
from kmsched.core.queue import Waiting
from kmsched.core.rank import Prospect, Prospects, prospect
from kmsched.core.shares import Flavour
from kmsched.core.state import Cycle, PodRecord, State
from kmsched.core.tasks import Trigger

#: a pod that waits is not talked about before this: offers need a moment to come
REPORT_AFTER_S = 2.0
#: what is planned by then is committed, and the rest left to the next cycle: offers do not keep for ever, and a pod
#: that is more urgent may have come
LONGEST_CYCLE_S = 2.0
NO_VETOES: Mapping[str, Veto] = MappingProxyType({})
#: work of the steps below, in agents that are judged for one pod
PLACE_WORK = 4
POD_WORK = 6
LAUNCH_WORK = 20


def run_cycle(state: State, now: float) -> None:
    """Begin a cycle, or go on with the one that is under way; at most one slice of it."""
    cycle = state.cycle
    if cycle is None:
        state.wants_cycle = False
        cycle = state.cycle = Cycle(now, now + LONGEST_CYCLE_S, state.queue.wakes, state.heard)
        cycle.rest = _cycle(state, cycle)
    cycle.now = now
    left = state.settings.slice_work
    for done in cycle.rest:
        left -= done
        if left <= 0:
            return
    state.cycle = None
    if state.queue.wakes != cycle.wakes:
        # what may help came when some had been found to fit nowhere already
        state.wants_cycle = state.queue.wake() or state.wants_cycle


def _cycle(state: State, cycle: Cycle) -> Iterator[int]:
    """All of its work; yields how much was done since the last time."""
    plans: list[Plan] = []
    prospects: list[Prospect] = []
    shaky = state.shaky.now(cycle.now)
    for agent in sorted(state.offers.usable(cycle.now), key=lambda agent: agent.agent_id):
        place = place_of(state, agent, cycle.now)
        name = place.node_name
        prospects.append(prospect(place, state.used_on(name), state.settings.placement, name in shaky))
        plans.append(Plan(len(plans), place, place))
        yield PLACE_WORK
    judge = Judge(state, plans, Prospects.of(prospects), state.refusals.owners())
    if state.orphans:
        plan_of = {plan.place.agent_id: plan for plan in plans}
        for uid in sorted(state.orphans):
            if uid in state.orphans:
                record = state.pods[uid]
                there = plan_of.get(state.offers.by_node.get(record.pod.node_name, ""))
                _plan_adoption(state, record, there, judge)
                yield POD_WORK
    active, pause = state.queue.members[Waiting.ACTIVE], min(STRIDE, state.settings.slice_work)
    for uid in state.queue.active():
        if uid in active:
            record = state.pods[uid]
            pod = record.pod
            kind = judge.known(pod) or (yield from judge.prepare(pod))
            plan = judge.best(pod, kind)
            if plan is not None:
                _assume(state, record, pod, plan, judge)
            else:
                yield from _give_up(state, record, pod, judge.why_not(pod, kind, record.vetoes), cycle)
            judge.work += POD_WORK
        if judge.work >= pause:
            yield judge.worked()
            if cycle.now >= cycle.until:
                state.wants_cycle = True
                break
    for plan in plans:
        if plan.takes:
            _commit(state, plan, cycle)
            yield LAUNCH_WORK * len(plan.takes)


def _plan_adoption(state: State, record: PodRecord, plan: Plan | None, judge: Judge) -> None:
    if plan is None:
        return
    objection = veto(record.pod, plan.place, state.settings)
    if objection is None:
        _assume(state, record, record.pod, plan, judge)
    else:
        record.vetoes = {plan.place.agent_id: objection}


def _give_up(state: State, record: PodRecord, pod: Pod, why: Work[Obstacles], cycle: Cycle) -> Iterator[int]:
    """For now: it waits until something has happened that can help."""
    obstacles = yield from why
    if record.pod is pod and state.queue.class_of(pod.uid) is Waiting.ACTIVE:
        record.vetoes = obstacles.vetoes
        state.queue.park(pod.uid)
        _report(state, record, obstacles, cycle.now)
    else:
        # it has changed between two slices, so this was found out of another pod than it is now
        state.wants_cycle = True


def _assume(state: State, record: PodRecord, pod: Pod, plan: Plan, judge: Judge) -> None:
    taken, rest = take_from(plan.place, pod, state.settings)
    judge.assume(plan, rest)
    plan.takes.append(Take(record, pod, taken))


def _commit(state: State, plan: Plan, cycle: Cycle) -> None:
    """Launch what was planned and still fits, all held offers of the agent together."""
    now = cycle.now
    # mostly nothing has happened since it was planned
    going = plan.takes if state.heard == cycle.heard else list(_still_going(state, plan, now))
    if len(going) < len(plan.takes):
        # some that were told to wait may have waited for these
        state.queue.wake()
        state.wants_cycle = True
    if not going:
        return
    flavour = going[-1].taken.executor
    by_role: dict[str, list[Take]] = {}  # whose offers they take
    for each in going:
        by_role.setdefault(each.taken.role, []).append(each)
    # the first starts the executor, if none runs
    for role in sorted(by_role, key=lambda role: role != flavour.role):
        _accept(state, plan.place, role, flavour, by_role[role], now)


def _waits(state: State, record: PodRecord) -> bool:
    uid = record.pod.uid
    waits = uid in state.orphans or state.queue.class_of(uid) is Waiting.ACTIVE
    return waits and state.pods.get(uid) is record


def _still_going(state: State, plan: Plan, now: float) -> Iterator[Take]:
    agent = state.offers.agents.get(plan.place.agent_id)
    if agent is None or not agent.is_usable(now):
        return
    place = place_of(state, agent, now)
    records = [take.record for take in plan.takes if _waits(state, take.record)]
    if place == plan.before and [record.pod for record in records] == [take.pod for take in plan.takes]:
        yield from plan.takes
        return
    for record in records:
        pod = record.pod
        is_refused = not pod.is_bound and state.refusals.veto(pod, place.node_name) is not None
        if not is_refused and veto(pod, place, state.settings) is None:
            taken, place = take_from(place, pod, state.settings)
            yield Take(record, pod, taken)


def _launch(state: State, take: Take, place: Place, executor_id: str, now: float) -> Launch:
    record, pod, taken = take.record, take.record.pod, take.taken
    mode = "adopt" if pod.is_bound else "bind"
    task_id = state.new_task_id(pod.uid)
    give_task(state, record, task_id, place.agent_id, place.node_name)
    record.promised = pod.requests
    record.vetoes = NO_VETOES
    record.told = None
    apply(state, record, Trigger.LAUNCHED, now, f"{mode} on {place.hostname} as {task_id}")
    record.executor_id = executor_id
    record.mapped_ports = taken.mapped
    return Launch(task_id, pod.key, pod.uid, mode, pod.requests, taken.shares)


def _accept(state: State, place: Place, role: str, flavour: Flavour, going: Sequence[Take], now: float) -> None:
    """One a role: Mesos takes no offers of several in one."""
    executor_id, count = state.settings.id_of(flavour), len(going)
    offer_ids = state.offers.take(place.agent_id, LetGo(now, Fate.ACCEPTED, f"for {count} pods"), role)
    launches = tuple([_launch(state, take, place, executor_id, now) for take in going])
    for take in going:
        take.record.offer_ids = offer_ids
    pods = ", ".join([launch.pod_key for launch in launches])
    state.emit(
        AcceptOffers(
            agent_id=place.agent_id,
            offer_ids=offer_ids,
            launches=launches,
            refuse_s=0.0,
            cause="cycle",
            reason=f"{place.hostname} takes {count}: {pods}",
            role=role,
            executor_id=executor_id,
            flavour=flavour,
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
