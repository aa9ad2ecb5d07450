"""The core is a fold: `step(state, event, now) -> [Effect]`.

Here each event finds the pod that it is about and becomes a trigger for it; the table in `core.tasks` says what
follows.  No I/O, clock, randomness or logging; `now` is monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kmsched.core import demand, maintenance, nodes, reconcile
from kmsched.core.cycle import run_cycle
from kmsched.core.effects import DeclineOffers, Effect
from kmsched.core.events import (
    AcceptRefused,
    AdoptFailed,
    AdoptRefused,
    AgentFailed,
    BindFailed,
    BindRefused,
    CycleInterrupted,
    Disconnected,
    Event,
    ExecutorFailed,
    InverseOffersArrived,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    OfferRescinded,
    OffersArrived,
    PodAdopted,
    PodBound,
    PodChanged,
    PodDeleted,
    PodsListed,
    Resumed,
    SettingsConfirmed,
    SpecsLearned,
    Subscribed,
    TaskUpdated,
    Ticked,
)
from kmsched.core.intake import is_newer, node_changed, node_deleted, pod_changed, pod_gone
from kmsched.core.pods import apply
from kmsched.core.state import Link, PodRecord, State
from kmsched.core.tasks import PodState, Trigger
from kmsched.core.updates import executor_ended, task_updated

#: Bindings or patches that a changed pod may cost one task
ATTEMPTS = 5
#: what an agent offers and nobody here can read is not asked for again so soon
UNREADABLE_REFUSE_S = 60.0


def step(state: State, event: Event, now: float) -> list[Effect]:
    """Take one event. Raises `UnknownTransition` on a pair that the pod table does not know."""
    state.effects = []
    state.heard += type(event) is not CycleInterrupted
    _HANDLERS[type(event)](state, event, now)
    effects, state.effects = state.effects, []
    return effects


# --- Kubernetes


def _pods_listed(state: State, event: PodsListed, now: float) -> None:
    present = {pod.uid for pod in event.pods}
    for record in [record for uid, record in state.pods.items() if uid not in present]:
        # a read may have told of a pod that is younger than the list
        if not is_newer(record.pod.resource_version, event.resource_version):
            pod_gone(state, record, now)
    for pod in event.pods:
        state.gone.pop(pod.uid, None)
        pod_changed(state, pod, now)
    state.has_pods = True


def _pod_changed(state: State, event: PodChanged, now: float) -> None:
    pod_changed(state, event.pod, now)


def _pod_deleted(state: State, event: PodDeleted, now: float) -> None:
    record = state.pods.get(event.uid)
    if record is not None:
        pod_gone(state, record, now)


def _nodes_listed(state: State, event: NodesListed, now: float) -> None:
    present = {node.name for node in event.nodes}
    for name in [name for name in state.nodes if name not in present]:
        node_deleted(state, name)
    for node in event.nodes:
        node_changed(state, node)
    state.has_nodes = True


def _node_changed(state: State, event: NodeChanged, now: float) -> None:
    node_changed(state, event.node)


def _node_deleted(state: State, event: NodeDeleted, now: float) -> None:
    node_deleted(state, event.name)


# --- Mesos


def _subscribed(state: State, event: Subscribed, now: float) -> None:
    state.registration.framework_id = event.framework_id
    state.offers.void(now)
    # offers and the snapshot name all that run; what ended meanwhile is not told
    state.executors.on_agent.clear()
    state.is_suppressed = False
    reconcile.begin(state, now, "subscribed")


def _disconnected(state: State, event: Disconnected, now: float) -> None:
    state.link = Link.DISCONNECTED
    state.offers.void(now)


def _resumed(state: State, event: Resumed, now: float) -> None:
    if state.link is not Link.DISCONNECTED:
        reconcile.begin(state, now, "resumed")


def _offers_arrived(state: State, event: OffersArrived, now: float) -> None:
    state.offers.wall_ahead_s = event.wall_s - now
    if event.unreadable:
        # undeclined they would be held from all other frameworks for as long as we are subscribed
        why = "they cannot be read; the log tells whose they are and what is wrong"
        state.emit(DeclineOffers(event.unreadable, UNREADABLE_REFUSE_S, cause="unreadable", reason=why))
    for offer in event.offers:
        before = state.offers.by_node.get(offer.node_name, offer.agent_id)
        if before != offer.agent_id:
            state.executors.agent_ended(before)
        if state.offers.add(offer, now + state.settings.offer_ttl_s):
            state.executors.offered(offer.agent_id, offer.executor_ids, now)
            has_executor = offer.agent_id in state.executors.on_agent
            state.registration.agent_offers(offer.agent_id, offer.node_name, has_executor)
    if state.unreachable:
        _see_replaced(state, {offer.node_name: offer.agent_id for offer in event.offers}, now)
    # if it did not arrive: the master goes on offering, and it is said again
    state.is_suppressed = False
    state.queue.wake()
    state.wants_cycle = True


def _see_replaced(state: State, agent_of: Mapping[str, str], now: float) -> None:
    """A host that comes back under another agent id will never report the tasks of the old one (protocol rule 1)."""
    for uid in sorted(state.unreachable):
        record = state.pods[uid]
        agent_id = agent_of.get(record.node_name, record.agent_id)
        if agent_id != record.agent_id:
            apply(
                state, record, Trigger.LOST, now, f"{record.node_name} is agent {agent_id} now, not {record.agent_id}"
            )


def _offer_rescinded(state: State, event: OfferRescinded, now: float) -> None:
    state.offers.rescind(event.offer_id, now)


def _executor_failed(state: State, event: ExecutorFailed, now: float) -> None:
    executor_ended(state, event.agent_id, event.executor_id, now)


def _settings_confirmed(state: State, event: SettingsConfirmed, now: float) -> None:
    state.executors.confirmed(event.agent_id, event.executor_id, event.version, now)


def _specs_learned(state: State, event: SpecsLearned, now: float) -> None:
    state.executors.differences = event.differences
    state.wants_cycle = state.queue.wake() or state.wants_cycle  # other words for why they wait


def _agent_failed(state: State, event: AgentFailed, now: float) -> None:
    state.executors.agent_ended(event.agent_id)
    state.registration.agent_removed(event.agent_id, now)
    ids = state.offers.drop_agent(event.agent_id)
    if ids:
        state.emit(DeclineOffers(ids, 0.0, cause="agent failed", reason=f"agent {event.agent_id} was removed"))


def _accept_refused(state: State, event: AcceptRefused, now: float) -> None:
    for task_id in event.task_ids:
        record = _holder(state, task_id)
        if record is not None:
            apply(state, record, Trigger.LOST, now, f"the ACCEPT was refused: {event.reason}")


# --- how Kubernetes effects ended


def _pod_bound(state: State, event: PodBound, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is not None:
        apply(state, record, Trigger.BOUND, now, f"bound to {record.node_name}")


def _bind_refused(state: State, event: BindRefused, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is None:
        return
    pod = record.pod
    waits = not (pod.is_bound or pod.is_terminating or pod.is_gated or pod.phase.is_terminal)
    still_fits = pod.requests.at_most(record.promised) == pod.requests
    again = waits and still_fits and record.attempts < ATTEMPTS and record.node_name != ""
    trigger = Trigger.BIND_STALE if again else Trigger.BIND_REFUSED
    apply(state, record, trigger, now, f"the Binding was refused: {event.reason}")


def _bind_failed(state: State, event: BindFailed, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is not None:
        apply(state, record, Trigger.BIND_FAILED, now, f"the Binding failed: {event.reason}")


def _pod_adopted(state: State, event: PodAdopted, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is not None:
        apply(state, record, Trigger.PATCHED, now, f"adopted by {event.task_id}")


def _adopt_refused(state: State, event: AdoptRefused, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is not None:
        trigger = Trigger.PATCH_STALE if record.attempts < ATTEMPTS else Trigger.PATCH_FAILED
        apply(state, record, trigger, now, f"the patch was refused: {event.reason}")


def _adopt_failed(state: State, event: AdoptFailed, now: float) -> None:
    record = _current(state, event.uid, event.task_id)
    if record is not None:
        apply(state, record, Trigger.PATCH_FAILED, now, f"the patch failed: {event.reason}")


def _current(state: State, uid: str, task_id: str) -> PodRecord | None:
    record = state.pods.get(uid)
    return record if record is not None and record.task_id == task_id else None


def _holder(state: State, task_id: str) -> PodRecord | None:
    return _current(state, task_id.partition(".")[0], task_id)


# --- time


def _ticked(state: State, event: Ticked, now: float) -> None:
    if state.link is not Link.DISCONNECTED:
        _run_timers(state, now)
        # before the first complete list every task looks like one without a pod
        killed = state.killing.due(now) if state.has_pods else []
        for effect in [*killed, *state.asking.due(now)]:
            state.emit(effect)
        reconcile.tick(state, now)
    if state.refusals.expire(now):
        state.wants_cycle = state.queue.wake() or state.wants_cycle
    if state.queue.ripen(now):
        state.wants_cycle = state.has_fresh_work = True
    if state.report_at is not None and state.report_at <= now:
        # where nothing is offered, nothing else would wake the pods that are to be explained
        state.report_at = None
        state.wants_cycle = state.queue.wake() or state.wants_cycle
    _place_pods(state, now)
    if state.link is Link.ACTIVE:
        for told in state.executors.due(state.term, now):
            state.emit(told)


def _cycle_interrupted(state: State, event: CycleInterrupted, now: float) -> None:
    if state.cycle is not None:
        _place_pods(state, now)


def _place_pods(state: State, now: float) -> None:
    if state.link is not Link.ACTIVE:
        state.wants_cycle = state.wants_cycle or state.cycle is not None
        state.cycle = None
    elif state.wants_cycle or state.cycle is not None:
        run_cycle(state, now)
    if state.cycle is None:
        # what is planned already is neither declined nor asked for, and needs its Node
        nodes.tick(state, now)
        demand.tick(state, now)


def _run_timers(state: State, now: float) -> None:
    for uid in state.timers.due(now):
        record = state.pods.get(uid)
        if record is None:
            continue
        if record.due_at is not None and record.due_at <= now:
            record.due_at = None
            apply(state, record, Trigger.DUE, now, _why_due(record))
        if record.silent_at is not None and record.silent_at <= now:
            record.silent_at = None
            state.shaky.failed(record.node_name, now)
            apply(state, record, Trigger.SILENT, now, f"nothing was heard of task {record.task_id}")


def _why_due(record: PodRecord) -> str:
    if record.state is PodState.ENDED:
        return "its executor reported the end, the pod goes on"
    return "what was put off is tried again"


_HANDLERS: dict[type[Any], Callable[[State, Any, float], None]] = {
    PodsListed: _pods_listed,
    PodChanged: _pod_changed,
    PodDeleted: _pod_deleted,
    NodesListed: _nodes_listed,
    NodeChanged: _node_changed,
    NodeDeleted: _node_deleted,
    Subscribed: _subscribed,
    Disconnected: _disconnected,
    Resumed: _resumed,
    OffersArrived: _offers_arrived,
    OfferRescinded: _offer_rescinded,
    InverseOffersArrived: maintenance.answer,
    TaskUpdated: task_updated,
    ExecutorFailed: _executor_failed,
    AgentFailed: _agent_failed,
    SettingsConfirmed: _settings_confirmed,
    SpecsLearned: _specs_learned,
    AcceptRefused: _accept_refused,
    PodBound: _pod_bound,
    BindRefused: _bind_refused,
    BindFailed: _bind_failed,
    PodAdopted: _pod_adopted,
    AdoptRefused: _adopt_refused,
    AdoptFailed: _adopt_failed,
    Ticked: _ticked,
    CycleInterrupted: _cycle_interrupted,
}
