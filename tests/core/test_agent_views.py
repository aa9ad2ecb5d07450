"""What is told of offers: held ones with age and use, the last ones with their fate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kmsched.core.agent_views import offers
from kmsched.core.events import Disconnected, ExecutorFailed, OfferRescinded, OffersArrived, Subscribed
from kmsched.core.resources import Resources
from kmsched.core.shares import Share
from kmsched.core.views import Part
from tests.core.values import EXECUTOR, SETTINGS, Fold, offer, pod

HUGE = Resources(cpus=900_000, mem=100_000, pods=1)


def told(fold: Fold, limit: int = 10, after: str = "") -> dict[str, Any]:
    return offers(fold.state, Part(limit, after), fold.moment)


def one(fold: Fold) -> dict[str, Any]:
    (agent,) = told(fold)["agents"]
    found: dict[str, Any] = agent
    return found


def test_an_offer_has_a_role_ports_and_a_part_that_is_reserved() -> None:
    fold = Fold(pod(requests=HUGE), settings=replace(SETTINGS, roles=("web",), pod_roles=("web",)))
    reserved = (Share("[...]", Resources(cpus=500), ((80, 80),)),)
    fold.take(OffersArrived((offer(role="web", ports=((31000, 31009),), reserved=reserved),)))
    (told_of,) = one(fold)["offers"]
    assert (told_of["role"], told_of["ports"], told_of["cpus"]) == ("web", "80, 31000-31009", 4.0)
    assert told_of["reserved"] == {"cpus": 0.5, "mem_mib": 0.0, "disk_mib": 0.0, "gpus": 0.0}


def test_held_offers_have_resources_an_age_and_an_end() -> None:
    fold = Fold(pod(requests=HUGE))
    fold.take(OffersArrived((offer("o1"), offer("o2", resources=Resources(cpus=500, mem=64_000)))))
    fold.tick(2.0)
    agent = one(fold)
    assert (agent["hostname"], agent["agent_id"], agent["rescinded"], agent["last"]) == ("A1", "A1", 0, None)
    assert [(each["offer_id"], each["role"], each["cpus"]) for each in agent["offers"]] == [
        ("o1", "*", 4.0),
        ("o2", "*", 0.5),
    ]
    assert agent["resources"] == {"cpus": 4.5, "mem_mib": 4064.0, "disk_mib": 4000.0, "gpus": 0.0}
    assert (agent["age_s"], agent["expires_in_s"]) == (2.0, SETTINGS.offer_ttl_s - 2.0)
    assert agent["came_s"] == 1e6 + fold.now - 2.0
    in_all = told(fold)
    assert (in_all["held"], in_all["link"], in_all["suppressed"]) == (2, "active", False)
    assert (in_all["ttl_s"], in_all["refuse_s"]) == (SETTINGS.offer_ttl_s, SETTINGS.refuse_s)


def test_why_offers_are_held() -> None:
    fold = Fold()
    fold.take(OffersArrived((offer(),)))
    assert one(fold)["why"] == "no pod waits"
    fold = Fold(pod())
    fold.take(OffersArrived((offer(),)))
    assert one(fold)["why"] == "1 pods are tried in the next cycle"
    fold = Fold(pod("u1", requests=HUGE), pod("u2", requests=HUGE), pod("u3", node_selector={"disk": "ssd"}))
    fold.take(OffersArrived((offer(),)))
    fold.tick()
    assert one(fold)["why"] == (
        "3 pods wait, none fits: 2 insufficient cpu (offers, short by 896100m), 1 nodeSelector disk=ssd does not match"
    )


def test_offers_of_an_agent_whose_executor_has_just_ended_are_held_back() -> None:
    fold = Fold(pod(requests=HUGE))
    fold.take(OffersArrived((offer("o1", executor_ids=frozenset({EXECUTOR})),)))
    fold.take(ExecutorFailed("A1", EXECUTOR))
    assert one(fold)["last"]["reason"] == f"{EXECUTOR} on A1 ended"
    fold.take(OffersArrived((offer("o2", executor_ids=frozenset({EXECUTOR})),)))
    assert one(fold)["why"] == f"held back: {EXECUTOR} has ended there, and no launch before an offer lacks it"


def test_offers_that_come_before_mesos_has_told_of_all_tasks_are_held_for_that() -> None:
    fold = Fold(pod())
    fold.take(Subscribed("F"), OffersArrived((offer(),)))
    assert one(fold)["why"] == "held until Mesos has told the state of all tasks"


def test_how_the_last_offers_went() -> None:
    fold = Fold(pod())
    fold.launch()
    fold.now += 3.0
    agent = one(fold)
    assert (agent["offers"], agent["why"], agent["age_s"], agent["expires_in_s"]) == ([], "", None, None)
    assert agent["last"] == {"fate": "accepted", "reason": "for 1 pods", "time_s": 1e6 + fold.now - 3, "ago_s": 3.0}
    fold.take(OffersArrived((offer("o2"),)))
    fold.tick(SETTINGS.offer_ttl_s)
    assert (one(fold)["last"]["fate"], one(fold)["last"]["reason"]) == ("declined", "not needed")
    fold.take(OffersArrived((offer("o3"),)), OfferRescinded("o3"))
    assert (one(fold)["last"]["fate"], one(fold)["rescinded"]) == ("rescinded", 1)
    fold.take(OffersArrived((offer("o4"),)), Disconnected("the master went"))
    assert one(fold)["last"]["reason"] == "the subscription with the Mesos master ended"
    assert told(fold)["link"] == "disconnected"


def test_an_offer_that_no_pod_fits_is_declined_for_that() -> None:
    fold = Fold(pod(requests=HUGE))
    fold.take(OffersArrived((offer(),)))
    fold.tick(SETTINGS.offer_ttl_s)
    assert one(fold)["last"]["reason"] == "no pod that waits fits there"


def test_an_agent_with_another_executor_says_so() -> None:
    fold = Fold(pod())
    fold.take(OffersArrived((offer(executor_ids=frozenset({"km-other"})),)))
    fold.tick()
    last = one(fold)["last"]
    assert last["fate"] == "declined"
    assert last["reason"].startswith("A1 runs an executor of another fingerprint (km-other, whose spec")


def test_agents_are_told_in_parts() -> None:
    fold = Fold()
    fold.take(OffersArrived(tuple(offer(f"o{n}", f"A{n}") for n in range(5))))
    first = told(fold, 2)
    assert [agent["hostname"] for agent in first["agents"]] == ["A0", "A1"]
    assert first["next"] == "a1/A1"
    assert first["held"] == 5
    last = told(fold, 10, "a3/A3")
    assert ([agent["hostname"] for agent in last["agents"]], last["next"]) == (["A4"], None)


def test_pods_beyond_count_cost_no_more_words() -> None:
    """Kinds that are asked about are bounded, and of each agent's reasons only the most frequent are told."""
    kinds = [pod(f"u{n:02}", node_selector={f"k{n}": "v"}) for n in range(40)]
    fold = Fold(*kinds)
    fold.take(OffersArrived((offer(),)))
    fold.tick()
    why = one(fold)["why"]
    assert why.startswith("40 pods wait, none fits: 1 nodeSelector k")
    assert why.count("nodeSelector") == 3
