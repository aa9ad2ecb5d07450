"""A broken agent is the emptiest of all; it must not draw every pod for ever."""

from __future__ import annotations

from msgspec import structs

from kmsched.core.effects import AcceptOffers
from kmsched.core.events import OffersArrived, TaskState
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.shaky import FIRST_PAUSE_S, LONGEST_PAUSE_S, Shaky
from kmsched.core.tasks import PodState
from tests.core.values import SETTINGS, Fold, node, offer, pod, update

FULLER = Resources(cpus=1000, mem=1_000_000, disk=4_000_000)


def chosen(fold: Fold, *agents: str) -> str:
    """Where the pod is launched when these offer again."""
    sizes = {"A2": FULLER}
    more = [offer(f"{agent}-{fold.now}", agent, **_sized(sizes.get(agent))) for agent in agents]
    fold.take(OffersArrived(tuple(more)))
    fold.tick(SETTINGS.backoff_max_s)
    (accept,) = fold.of(AcceptOffers)
    return accept.agent_id


def _sized(resources: Resources | None) -> dict[str, Resources]:
    return {} if resources is None else {"resources": resources}


def fail(fold: Fold) -> None:
    record = fold.record()
    fold.take(update(record.task_id, TaskState.FAILED, agent_id=record.agent_id))


def test_a_pod_whose_launch_failed_on_the_emptiest_agent_goes_to_another() -> None:
    small = node("a2", allocatable=whole_counts(structs.replace(FULLER, pods=110)))
    fold = Fold(pod(), nodes=(node("a1"), small))
    assert chosen(fold, "A1", "A2") == "A1"
    fail(fold)
    fold.now -= SETTINGS.backoff_max_s / 2
    assert chosen(fold, "A1", "A2") == "A2"


def test_a_launch_that_stays_silent_counts_as_failed() -> None:
    fold = Fold(pod(), nodes=(node("a1"),))
    chosen(fold, "A1")
    fold.tick(SETTINGS.launch_timeout_s)
    assert fold.state.shaky.now(fold.now) == {"a1"}


def test_where_all_agents_are_shaky_they_are_tried_and_one_that_works_is_no_longer_shaky() -> None:
    fold = Fold(pod(), nodes=(node("a1"),))
    chosen(fold, "A1")
    fail(fold)
    assert chosen(fold, "A1") == "A1"
    fold.take(update(fold.record().task_id, TaskState.STARTING))
    assert not fold.state.shaky.troubles


def test_what_the_master_says_of_an_offer_is_not_the_agent_s_fault() -> None:
    fold = Fold(pod(), nodes=(node("a1"),))
    chosen(fold, "A1")
    fold.take(update(fold.record().task_id, TaskState.DROPPED, source="SOURCE_MASTER"))
    assert not fold.state.shaky.troubles


def test_a_launch_that_was_killed_because_an_operator_drains_the_agent_is_not_the_agent_s_fault() -> None:
    for source in ("SOURCE_AGENT", "SOURCE_EXECUTOR"):
        fold = Fold(pod(), nodes=(node("a1"),))
        chosen(fold, "A1")
        fold.take(update(fold.record().task_id, TaskState.KILLED, source=source, reason="REASON_AGENT_DRAINING"))
        assert fold.record().state is PodState.PENDING
        assert not fold.state.shaky.troubles


def test_the_pause_grows_with_each_new_failure_up_to_a_limit() -> None:
    shaky, now = Shaky(), 0.0
    shaky.failed("a1", now)
    shaky.failed("a1", now + 1)
    assert shaky.now(now + FIRST_PAUSE_S - 1) == {"a1"}
    assert not shaky.now(now + FIRST_PAUSE_S)
    for _ in range(10):
        now = shaky.troubles["a1"].until
        shaky.failed("a1", now)
    assert shaky.troubles["a1"].until == now + LONGEST_PAUSE_S
