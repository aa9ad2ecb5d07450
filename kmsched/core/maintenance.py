"""Mesos asks whether an agent may go (an inverse offer): yes, when nothing of ours runs there any more.

Knows tasks only.  Moving pods is for who drains the Node: an answer is no promise to do it.
"""

from __future__ import annotations

from kmsched.core.effects import AnswerInverseOffer
from kmsched.core.events import InverseOffersArrived
from kmsched.core.model import Window, spoken_window
from kmsched.core.state import Link, State

#: until the master may ask again
ASK_AGAIN_S = 60.0
#: while it is not known yet what runs
SOON_S = 5.0


def answer(state: State, event: InverseOffersArrived, now: float) -> None:
    tasks: dict[str, int] = {}
    for record in state.pods.values():
        if record.task_id:
            tasks[record.agent_id] = tasks.get(record.agent_id, 0) + 1
    is_known = state.link is Link.ACTIVE and state.has_pods
    for offer in event.offers:
        left = tasks.get(offer.agent_id, 0)
        state.emit(
            AnswerInverseOffer(
                offer_id=offer.offer_id,
                agent_id=offer.agent_id,
                may_go=is_known and not left,
                refuse_s=ASK_AGAIN_S if is_known else SOON_S,
                cause="maintenance",
                reason=_reason(state, offer.agent_id, offer.unavailable, left if is_known else None),
            )
        )


def _reason(state: State, agent_id: str, window: Window, left: int | None) -> str:
    who = f"{state.node_of_agent(agent_id) or agent_id} is to go down {spoken_window(window)}"
    if left is None:
        return f"{who}: what runs there is not known yet"
    return f"{who}: tasks of ours there: {left}; drain its Node" if left else f"{who}: nothing runs there"
