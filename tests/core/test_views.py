"""Why pods wait, all together."""

from __future__ import annotations

from kmsched.core.events import OffersArrived
from kmsched.core.resources import Resources
from kmsched.core.views import pending, pending_by_kind
from tests.core.values import Fold, offer, pod

HUGE = Resources(cpus=900_000, mem=100_000, pods=1)


def test_what_pods_wait_for_is_counted_by_one_word_and_told_in_many() -> None:
    fold = Fold(
        pod("big1", requests=HUGE),
        pod("big2", requests=HUGE),
        pod("picky", node_selector={"disk": "ssd"}),
        pod("gated", is_gated=True),
    )
    assert pending_by_kind(fold.state) == {"active": 3, "gated": 1}
    fold.take(OffersArrived((offer("o1", "A1"), offer("o2", "A2"))))
    fold.tick()
    assert pending_by_kind(fold.state) == {"offers": 2, "NodeAffinity": 1, "gated": 1}
    told = pending(fold.state, 2)
    assert told["pods"] == 4
    most = told["reasons"][0]
    assert (most["kind"], most["pods"], most["example"]) == ("offers", 2, "ns/big1")
    assert "insufficient cpu" in most["reason"]
    assert len(told["reasons"]) == 2


def test_nothing_waits() -> None:
    assert pending(Fold().state, 5) == {"pods": 0, "reasons": []}
