"""A scheduling cycle: every pod that waits × every offer that is held; several pods per ACCEPT.

First it plans: orphaned pods, which run already, on an agent that only they can go to, then the queue in its order.
Then it commits, agent by agent.  It is done in slices of bounded work, and between two of them anything may happen.
So a plan changes nothing but what people are told of pods that get nothing, and what was planned is asked again, of
the agent as it has become, before it is launched; who has no place there any more waits for the next cycle.

Fit is `core.fit`'s, order `core.queue`'s and `core.rank`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kmsched.core.agent_filters import Taken
from kmsched.core.effects import AcceptOffers, Launch, ReportPod
from kmsched.core.fit import Place, Veto, explain, veto
from kmsched.core.judge import Judge, Obstacles, Plan
from kmsched.core.model import Pod, Settings
from kmsched.core.offers import Fate, LetGo
from kmsched.core.places import place_of, take_from
from kmsched.core.pods import apply, give_task
from kmsched.core.queue import Waiting
from kmsched.core.shares import Flavour
from kmsched.core.state import Cycle, PodRecord, State
from kmsched.core.tasks import Trigger

#: a pod that waits is not talked about before this: offers need a moment to come
REPORT_AFTER_S = 2.0
#: what is planned by then is committed, and the rest left to the next cycle: offers do not keep for ever, and a pod
#: that is more urgent may have come
LONGEST_CYCLE_S = 2.0
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
    for agent in sorted(state.offers.usable(cycle.now), key=lambda agent: agent.agent_id):
        place = place_of(state, agent, cycle.now)
        plans.append(Plan(len(plans), place, state.used_on(place.node_name), place))
        yield PLACE_WORK
    judge = Judge(state, plans, state.shaky.now(cycle.now), state.refusals.owners())
    if state.orphans:
        plan_of = {plan.place.agent_id: plan for plan in plans}
        for uid in sorted(state.orphans):
            if uid in state.orphans:
                record = state.pods[uid]
                there = plan_of.get(state.offers.by_node.get(record.pod.node_name, ""))
                _plan_adoption(state, record, there, judge)
                yield POD_WORK
    for uid in state.queue.active():
        if state.queue.classes.get(uid) is Waiting.ACTIVE:
            yield from _plan(state, state.pods[uid], judge, cycle)
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
        judge.assume(plan, record.pod, *take(plan.place, record.pod, state.settings))
    else:
        record.vetoes = {plan.place.agent_id: objection}


def _plan(state: State, record: PodRecord, judge: Judge, cycle: Cycle) -> Iterator[int]:
    pod = record.pod
    plan = yield from judge.best(pod)
    if plan is not None:
        judge.assume(plan, pod, *take(plan.place, pod, state.settings))
    else:
        obstacles = yield from judge.why_not(pod, record.vetoes)
        if record.pod is pod and state.queue.classes.get(pod.uid) is Waiting.ACTIVE:
            record.vetoes = obstacles.vetoes
            state.queue.park(pod.uid)
            _report(state, record, obstacles, cycle.now)
        else:
            # it has changed between two slices, so this was found out of another pod than it is now
            state.wants_cycle = True
    yield POD_WORK


def take(place: Place, pod: Pod, settings: Settings) -> tuple[Taken, Place]:
    """What the pod's task takes, and what is left with the pod there; kubelet has counted a bound one before."""
    taken, rest = take_from(place, pod, settings)
    return taken, rest if pod.is_bound else rest.less(pod)


def _commit(state: State, plan: Plan, cycle: Cycle) -> None:
    """Launch what was planned and still fits, all held offers of the agent together."""
    agent_id, now = plan.place.agent_id, cycle.now
    if state.heard == cycle.heard:
        # nothing has happened since it was planned
        going = [(state.pods[pod.uid], taken) for pod, taken in plan.takes]
    else:
        going = list(_still_going(state, plan, now))
    if len(going) < len(plan.takes):
        # some that were told to wait may have waited for these
        state.queue.wake()
        state.wants_cycle = True
    launches: dict[str, list[Launch]] = {}  # by the role whose offers they take
    for record, taken in going:
        launches.setdefault(taken.role, []).append(_launch(state, record, plan.place, taken, now))
    if launches:
        flavour = going[-1][1].executor
        # the first starts the executor, if none runs
        for role in sorted(launches, key=lambda role: role != flavour.role):
            _accept(state, agent_id, role, flavour, launches[role], plan.place.hostname, now)


def _waits(state: State, record: PodRecord) -> bool:
    uid = record.pod.uid
    return uid in state.orphans or state.queue.classes.get(uid) is Waiting.ACTIVE


def _still_going(state: State, plan: Plan, now: float) -> Iterator[tuple[PodRecord, Taken]]:
    agent = state.offers.agents.get(plan.place.agent_id)
    if agent is None or not agent.is_usable(now):
        return
    place = place_of(state, agent, now)
    records = [record for pod, _ in plan.takes if (record := state.pods.get(pod.uid)) and _waits(state, record)]
    if place == plan.before and [record.pod for record in records] == [pod for pod, _ in plan.takes]:
        yield from ((record, taken) for record, (_, taken) in zip(records, plan.takes, strict=True))
        return
    for record in records:
        pod = record.pod
        is_refused = not pod.is_bound and state.refusals.veto(pod, place.node_name) is not None
        if not is_refused and veto(pod, place, state.settings) is None:
            taken, place = take(place, pod, state.settings)
            yield record, taken


def _launch(state: State, record: PodRecord, place: Place, taken: Taken, now: float) -> Launch:
    pod = record.pod
    mode = "adopt" if pod.is_bound else "bind"
    task_id = state.new_task_id(pod.uid)
    give_task(state, record, task_id, place.agent_id, place.node_name)
    record.promised = pod.requests
    record.vetoes = {}
    record.told = None
    apply(state, record, Trigger.LAUNCHED, now, f"{mode} on {place.hostname} as {task_id}")
    record.executor_id = state.settings.id_of(taken.executor)
    record.mapped_ports = taken.mapped
    return Launch(task_id, pod.key, pod.uid, mode, pod.requests, taken.shares)


def _accept(
    state: State, agent_id: str, role: str, flavour: Flavour, launches: list[Launch], hostname: str, now: float
) -> None:
    """One a role: Mesos takes no offers of several in one."""
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
            reason=f"{hostname} takes {len(launches)}: {pods}",
            role=role,
            executor_id=state.settings.id_of(flavour),
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
