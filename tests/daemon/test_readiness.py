"""Why a scheduler is not ready, step by step."""

from __future__ import annotations

from kmsched.daemon.readiness import STALE_S, Readiness
from tests.clients.fakes import FakeClock


def synced(clock: FakeClock) -> Readiness:
    readiness = Readiness(clock, lambda: True)
    for kind in ("pods", "nodes"):
        readiness.heard(kind)
    readiness.unsubscribed = ""
    return readiness


def test_each_step_has_its_words() -> None:
    reconciled: list[bool] = []
    readiness = Readiness(FakeClock(), lambda: bool(reconciled))
    readiness.interrupted("pods", "no connection")
    assert readiness.reasons() == [
        "pods of the Kubernetes API are not listed yet: no connection",
        "nodes of the Kubernetes API are not listed yet: not tried yet",
        "not subscribed with a Mesos master: not tried yet",
    ]
    readiness.heard("pods")
    readiness.heard("nodes")
    assert not readiness.unlisted
    readiness.unsubscribed = "connection refused"
    assert readiness.reasons() == ["not subscribed with a Mesos master: connection refused"]
    readiness.unsubscribed = ""
    assert readiness.reasons() == ["the state of all tasks is not reconciled with Mesos yet"]
    reconciled.append(True)
    assert readiness.reasons() == []


def test_a_copy_that_cannot_be_kept_up_is_told_after_a_while_and_until_something_is_heard() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    readiness.interrupted("pods", "no connection")
    assert readiness.reasons() == []
    clock.now_s += STALE_S
    readiness.interrupted("pods", "no connection")
    assert readiness.reasons() == [f"pods of the Kubernetes API are {STALE_S:.0f} s old: no connection"]
    readiness.heard("pods")
    assert readiness.reasons() == []


def test_a_watch_that_stands_again_ends_it_though_nothing_changes() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    readiness.interrupted("nodes", "the watch broke")
    clock.now_s += STALE_S
    assert readiness.reasons() != []
    readiness.watching("nodes")
    assert readiness.reasons() == []


def test_attempts_that_hang_for_long_are_one_outage() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    for _ in range(3):
        readiness.interrupted("nodes", "no answer")
        clock.now_s += 40
    assert readiness.reasons() == ["nodes of the Kubernetes API are 120 s old: no answer"]


def test_watches_that_end_at_once_are_one_outage_and_those_that_lasted_are_not() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    for _ in range(3):
        readiness.interrupted("nodes", "the watch ended at once")
        clock.now_s += STALE_S / 2
        readiness.watching("nodes")
    readiness.interrupted("nodes", "the watch ended at once")
    assert readiness.reasons() != []
    readiness.watching("nodes")
    clock.now_s += STALE_S
    readiness.interrupted("nodes", "the watch broke")
    assert readiness.reasons() == []


def test_a_rival_is_a_warning_and_no_reason() -> None:
    readiness = synced(FakeClock())
    assert readiness.warnings() == []
    readiness.found_rival("a kube-scheduler is alive")
    assert (readiness.warnings(), readiness.reasons()) == (["a kube-scheduler is alive"], [])
