"""When to have offers: held for their time to live, suppressed while nothing waits, revived when something does."""

from __future__ import annotations

from kmsched.core.effects import DeclineOffers, ReviveOffers, SuppressOffers
from kmsched.core.offers import Fate, LetGo
from kmsched.core.state import Link, State

#: pause between two REVIVEs for new work, and while orphaned pods wait for their agent's offer
REVIVE_PAUSE_S = 0.25
ORPHAN_REVIVE_PAUSE_S = 1.0
#: each time twice as long: an agent that never offers again must not cost an offer of every other each second
LONGEST_ORPHAN_PAUSE_S = 30.0
#: a REVIVE that was lost is not missed by anybody: while pods wait and agents offer nothing it is sent again
REVIVE_AGAIN_S = 30.0
#: cause of a DECLINE that only another executor on the agent can end
OTHER_EXECUTOR = "executor of another fingerprint"
_LOOKS_FOR_HOSTS = ReviveOffers(cause="unreachable", reason="do hosts come back under another agent id?")
_LOOKS_FOR_AGENTS = ReviveOffers(cause="registration", reason="are there agents that have no Node?")


def tick(state: State, now: float) -> None:
    if state.link is not Link.ACTIVE:
        return
    wants = bool(state.orphans) or state.queue.wants_offers()
    _decline_others(state, now)
    unused = "no pod that waits fits there" if wants else "not needed"
    expired = state.offers.expired(now)
    if expired:
        # in one call: those that came together end together, and a thousand calls would hold up the next ACCEPT
        let_go = LetGo(now, Fate.DECLINED, unused)
        ids = tuple([each for agent in expired for each in state.offers.take(agent.agent_id, let_go)])
        whose = expired[0].hostname if len(expired) == 1 else f"{len(expired)} agents"
        state.emit(DeclineOffers(ids, state.settings.refuse_s, cause="ttl", reason=f"{whose}: {unused}"))
    if not wants:
        looks = _LOOKS_FOR_HOSTS if state.unreachable else _LOOKS_FOR_AGENTS if state.settings.registers_all else None
        if looks is not None and now - state.revived_at >= REVIVE_AGAIN_S:
            state.revived_at = now
            state.is_suppressed = state.has_fresh_work = False
            state.emit(looks)
            return
        # what was asked for needs a moment to come
        expects = looks is not None and now - state.revived_at < state.settings.offer_ttl_s
        if not state.is_suppressed and not state.offers.agent_of and not expects:
            state.is_suppressed = True
            state.emit(SuppressOffers(cause="idle", reason="no pod waits"))
        state.has_fresh_work = False
        return
    if state.has_fresh_work:
        state.orphan_pause_s = ORPHAN_REVIVE_PAUSE_S
    pause_s = REVIVE_PAUSE_S if state.has_fresh_work else state.orphan_pause_s
    is_lost = now - state.revived_at >= REVIVE_AGAIN_S
    needed = state.is_suppressed or state.has_fresh_work or bool(state.orphans) or is_lost
    if needed and now - state.revived_at >= pause_s and (state.is_suppressed or _lacks_offers(state)):
        if not state.has_fresh_work:
            state.orphan_pause_s = min(2 * state.orphan_pause_s, LONGEST_ORPHAN_PAUSE_S)
        state.revived_at = now
        state.is_suppressed = state.has_fresh_work = False
        state.emit(ReviveOffers(cause="work", reason="pods wait for offers"))


def _decline_others(state: State, now: float) -> None:
    """Where an executor of another fingerprint runs nothing is launched; pods that wait have been told of it by now.

    While such an executor ends, its agent's offers are held: the next one may lack it.
    """
    for agent in state.offers.held():
        other = state.other_executor(agent)
        if other and not agent.ended_executor:
            why = f"{agent.hostname} runs an executor of another fingerprint ({state.executors.words(other)})"
            ids = state.offers.take(agent.agent_id, LetGo(now, Fate.DECLINED, why))
            state.emit(DeclineOffers(ids, state.settings.refuse_s, cause=OTHER_EXECUTOR, reason=why))


def _lacks_offers(state: State) -> bool:
    agents = state.offers.agents.values()
    return not agents or any(not agent.offers for agent in agents)
