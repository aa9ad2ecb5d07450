"""Who waits for what, and who is tried first."""

from __future__ import annotations

from kmsched.core.model import NodeTerm, Requirement
from kmsched.core.queue import Queue, Waiting
from tests.core.values import pod


def uids(queue: Queue) -> list[str]:
    return list(queue.active())


def test_priority_first_then_age_then_name() -> None:
    queue = Queue()
    for one in (
        pod("young", created_s=9.0),
        pod("old-b", created_s=1.0),
        pod("old-a", created_s=1.0),
        pod("urgent", created_s=99.0, priority=1000),
        pod("unimportant", created_s=0.0, priority=-1),
    ):
        queue.put(one, 0.0)
    assert uids(queue) == ["urgent", "old-a", "old-b", "young", "unimportant"]


def test_a_gated_pod_waits_until_its_gates_are_gone_and_wants_no_offers() -> None:
    queue = Queue()
    queue.put(pod(is_gated=True), 0.0)
    assert (uids(queue), queue.wants_offers(), queue.counts()["gated"]) == ([], False, 1)
    queue.update(pod(), 1.0)
    assert (uids(queue), queue.wants_offers()) == (["u1"], True)


def test_backoff_ends_in_its_time() -> None:
    queue = Queue()
    queue.put(pod(), 10.0, pause_s=2.0)
    assert queue.counts()["backoff"] == 1
    assert not queue.ripen(11.9)
    assert queue.ripen(12.0)
    assert uids(queue) == ["u1"]


def test_news_of_a_pod_do_not_shorten_its_backoff() -> None:
    queue = Queue()
    queue.put(pod(), 0.0, pause_s=2.0)
    queue.update(pod(node_selector={"disk": "ssd"}), 1.0)
    assert (uids(queue), queue.wake()) == ([], False)
    queue.ripen(2.0)
    assert queue.members[Waiting.ACTIVE]["u1"].node_selector == {"disk": "ssd"}


def test_a_pod_that_is_deleted_in_its_backoff_is_not_tried_any_more() -> None:
    queue = Queue()
    queue.put(pod(), 0.0, pause_s=2.0)
    queue.update(pod(is_terminating=True), 1.0)
    assert not queue.ripen(5.0)
    assert (uids(queue), queue.counts()["gated"]) == ([], 1)


def test_a_pod_that_fits_nowhere_is_woken_or_changes_what_it_asks_for() -> None:
    queue = Queue()
    queue.put(pod(), 0.0)
    queue.park("u1")
    queue.update(pod(resource_version="2"), 1.0)
    assert (uids(queue), queue.counts()["unschedulable"]) == ([], 1)
    ssd = (NodeTerm((Requirement("disk", "In", ("ssd",)),)),)
    queue.update(pod(node_affinity=ssd), 2.0)
    assert uids(queue) == ["u1"]
    queue.park("u1")
    assert (queue.wake(), queue.wake()) == (True, False)
    assert uids(queue) == ["u1"]


def test_a_pod_that_left_is_in_no_class() -> None:
    queue = Queue()
    queue.put(pod(), 0.0, pause_s=1.0)
    queue.remove("u1")
    queue.park("u1")
    assert not queue.ripen(9.0)
    assert sum(queue.counts().values()) == 0
