"""When offers are wanted: suppressed while nothing waits, revived when something does, given back in time."""

from __future__ import annotations

from itertools import pairwise

from kmsched.core.demand import LONGEST_ORPHAN_PAUSE_S, REVIVE_AGAIN_S
from kmsched.core.effects import AcceptOffers, DeclineOffers, ReviveOffers, SuppressOffers
from kmsched.core.events import OffersArrived, PodChanged, TaskState
from tests.core.values import SETTINGS, Fold, offer, pod, update


def test_without_a_pod_that_waits_offers_are_suppressed_once() -> None:
    fold = Fold()
    fold.tick(1.0)
    assert [effect.reason for effect in fold.of(SuppressOffers)] == ["no pod waits"]
    fold.tick(1.0)
    assert fold.effects == []


def test_an_offer_that_nobody_needs_is_declined_when_its_time_is_over_and_then_it_is_suppressed() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer("o1"), offer("o2"))))
    fold.tick(SETTINGS.offer_ttl_s - 0.1)
    assert fold.effects == []
    fold.tick(0.1)
    (decline, suppress) = fold.effects
    assert decline == DeclineOffers(("o1", "o2"), SETTINGS.refuse_s, cause="ttl", reason="A1: not needed")
    assert isinstance(suppress, SuppressOffers)


def test_offers_of_many_agents_that_end_together_are_declined_in_one_call() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2"))))
    fold.tick(SETTINGS.offer_ttl_s)
    (decline,) = fold.of(DeclineOffers)
    assert (decline.offer_ids, decline.reason) == (("o1", "o2"), "2 agents: not needed")


def test_a_gated_pod_is_no_work() -> None:
    fold = Fold(pod(is_gated=True))
    fold.tick(1.0)
    assert len(fold.of(SuppressOffers)) == 1


def test_work_revives() -> None:
    fold = Fold()
    fold.tick(1.0)
    fold.take(PodChanged(pod()))
    fold.tick(1.0)
    assert [effect.reason for effect in fold.of(ReviveOffers)] == ["pods wait for offers"]
    fold.tick(0.1)
    assert fold.of(ReviveOffers) == []


def test_an_orphaned_pod_revives_again_and_again_with_growing_pauses() -> None:
    fold = Fold(pod())
    task_id = fold.run()
    fold.take(update(task_id, TaskState.GONE, source="SOURCE_MASTER"))
    times = [second for second in range(200) for each in fold.tick(1.0) if isinstance(each, ReviveOffers)]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 30]
    assert set(pauses[6:]) == {LONGEST_ORPHAN_PAUSE_S}


def test_a_master_that_goes_on_offering_has_not_heard_that_nothing_waits() -> None:
    fold = Fold()
    fold.tick(1.0)
    assert len(fold.of(SuppressOffers)) == 1
    fold.take(OffersArrived((offer(),)))
    fold.tick(SETTINGS.offer_ttl_s)
    assert len(fold.of(SuppressOffers)) == 1


def test_a_revive_that_was_lost_is_sent_again_in_a_while() -> None:
    fold = Fold()
    fold.tick(1.0)
    fold.take(PodChanged(pod()))
    fold.tick(1.0)
    assert len(fold.of(ReviveOffers)) == 1
    fold.tick(REVIVE_AGAIN_S - 1)
    assert fold.of(ReviveOffers) == []
    fold.tick(1.0)
    assert len(fold.of(ReviveOffers)) == 1


def test_nothing_is_said_while_not_settled() -> None:
    fold = Fold(pod())
    fold.launch()
    assert len(fold.of(AcceptOffers)) == 1
    fold.state.link = type(fold.state.link).RECONCILING
    fold.state.reconciliation.again_at = fold.state.reconciliation.began_at = fold.now
    fold.take(OffersArrived((offer("o2"),)))
    fold.tick(1.9)
    assert not fold.of(DeclineOffers) and not fold.of(SuppressOffers) and not fold.of(ReviveOffers)
