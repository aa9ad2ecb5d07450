"""What Mesos is answered when it asks whether an agent may go."""

from __future__ import annotations

from kmsched.core.effects import AnswerInverseOffer
from kmsched.core.events import Disconnected, InverseOffersArrived
from kmsched.core.model import InverseOffer, Window
from tests.core.values import Fold, pod

QUESTION = InverseOffersArrived((InverseOffer("i1", "A1", Window(1_800_000_000.0, None)),))
WHEN = "is to go down from 2027-01-15 08:00 UTC, with no end"


def answered(fold: Fold) -> tuple[bool, float, str]:
    (answer,) = [each for each in fold.take(QUESTION) if isinstance(each, AnswerInverseOffer)]
    assert (answer.offer_id, answer.agent_id, answer.cause) == ("i1", "A1", "maintenance")
    return answer.may_go, answer.refuse_s, answer.reason


def test_an_agent_with_tasks_of_ours_is_not_to_go_yet() -> None:
    fold = Fold(pod())
    fold.run()
    assert answered(fold) == (False, 60.0, f"a1 {WHEN}: tasks of ours there: 1; drain its Node")


def test_an_agent_without_any_may_go() -> None:
    assert answered(Fold(pod())) == (True, 60.0, f"A1 {WHEN}: nothing runs there")


def test_what_is_not_known_yet_is_no_consent() -> None:
    fold = Fold()
    fold.take(Disconnected("x"))
    assert answered(fold) == (False, 5.0, f"A1 {WHEN}: what runs there is not known yet")
