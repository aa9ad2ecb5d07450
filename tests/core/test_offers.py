"""The ledger of offers: what is held, until when, and which executor bars an agent."""

from __future__ import annotations

from kmsched.core.offers import EARLY_RESCINDS, ENDED_PATIENCE_S, OfferLedger
from kmsched.core.resources import Resources
from tests.core.values import PLENTY, offer


def test_all_offers_of_an_agent_are_one_amount_and_are_taken_together() -> None:
    ledger = OfferLedger()
    for offer_id in ("o1", "o2"):
        assert ledger.add(offer(offer_id), 5.0)
    ledger.add(offer("o3", "A2"), 5.0)
    assert ledger.agents["A1"].total == PLENTY.plus(PLENTY)
    assert ledger.take("A1") == ("o1", "o2")
    assert (ledger.take("A1"), ledger.agents["A1"].total) == ((), Resources())
    assert [agent.agent_id for agent in ledger.held()] == ["A2"]


def test_an_offer_that_is_told_twice_is_held_once() -> None:
    ledger = OfferLedger()
    for _ in range(2):
        assert ledger.add(offer("o1"), 5.0)
    assert ledger.agents["A1"].total == PLENTY
    ledger.rescind("o1")
    assert not list(ledger.held())


def test_an_offer_that_is_told_twice_is_no_younger_for_that() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1"), 5.0)
    ledger.add(offer("o1"), 9.0)
    assert [agent.agent_id for agent in ledger.expired(5.0)] == ["A1"]


def test_an_agents_offers_expire_with_the_oldest() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1"), 5.0)
    ledger.add(offer("o2"), 8.0)
    assert not ledger.expired(4.9)
    assert [agent.agent_id for agent in ledger.expired(5.0)] == ["A1"]
    ledger.take("A1")
    ledger.add(offer("o3"), 20.0)
    assert not ledger.expired(19.0)


def test_a_rescind_that_overtakes_its_offer_voids_it_once() -> None:
    ledger = OfferLedger()
    ledger.rescind("o1")
    assert not ledger.add(offer("o1"), 5.0)
    assert not list(ledger.held())
    assert ledger.add(offer("o1"), 5.0)
    ledger.rescind("o1")
    assert not ledger.agent_of


def test_early_rescinds_are_bounded() -> None:
    ledger = OfferLedger()
    for number in range(EARLY_RESCINDS + 5):
        ledger.rescind(f"o{number}")
    assert len(ledger.early) == EARLY_RESCINDS
    assert "o4" not in ledger.early


def test_the_newest_agent_of_a_host_is_the_nodes_agent() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1", "A1", hostname="Host"), 5.0)
    ledger.add(offer("o2", "A2", hostname="Host"), 5.0)
    assert ledger.by_node == {"host": "A2"}
    assert ledger.drop_agent("A1") == ("o1",)
    assert ledger.by_node == {"host": "A2"}
    assert (ledger.drop_agent("A2"), ledger.by_node) == (("o2",), {})


def test_an_ended_executor_bars_its_agent_until_an_offer_lacks_it() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1", executor_ids=frozenset({"km-x", "other"})), 5.0)
    agent = ledger.agents["A1"]
    assert agent.executor_ids == ("km-x",)
    agent.ended_executor, agent.ended_at = "km-x", 1.0
    ledger.add(offer("o2", executor_ids=frozenset({"km-x"})), 5.0)
    assert not list(ledger.usable(2.0))
    ledger.add(offer("o3"), 5.0)
    assert [one.agent_id for one in ledger.usable(2.0)] == ["A1"]
    assert not agent.executor_ids


def test_an_executor_that_goes_on_being_listed_runs_again() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1", executor_ids=frozenset({"km-x"})), 5.0)
    ledger.agents["A1"].ended_executor, ledger.agents["A1"].ended_at = "km-x", 1.0
    assert not list(ledger.usable(0.9 + ENDED_PATIENCE_S))
    assert list(ledger.usable(1.0 + ENDED_PATIENCE_S))


def test_the_end_of_a_subscription_voids_all() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1"), 5.0)
    ledger.rescind("o9")
    ledger.void()
    assert not list(ledger.held())
    assert (ledger.agent_of, len(ledger.early), list(ledger.agents)) == ({}, 0, ["A1"])


def test_an_agent_that_came_back_under_another_id_is_forgotten_under_the_old_one() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1", "A1"), 10.0)
    ledger.rescind("o1")
    ledger.add(offer("o2", "A2", hostname="A1"), 10.0)
    assert set(ledger.agents) == {"A2"}


def test_an_agent_with_another_host_name_than_before_keeps_its_offers_and_leaves_the_old_node() -> None:
    ledger = OfferLedger()
    ledger.add(offer("o1", "A1"), 10.0)
    ledger.add(offer("o2", "A1", hostname="Renamed"), 10.0)
    assert ledger.by_node == {"renamed": "A1"}
    ledger.add(offer("o3", "A1", hostname="renamed"), 10.0)
    assert (ledger.by_node, ledger.agents["A1"].hostname) == ({"renamed": "A1"}, "renamed")
    assert ledger.take("A1") == ("o1", "o2", "o3")
    assert not ledger.agent_of
