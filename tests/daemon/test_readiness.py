"""Why a scheduler is not ready, step by step."""

from __future__ import annotations

from kmsched.daemon.readiness import CALM_S, STALE_S, Readiness
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


def test_a_single_failure_and_then_silence_means_that_the_next_watch_stands() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    readiness.interrupted("nodes", "the watch broke")
    clock.now_s += STALE_S
    assert readiness.reasons() == []


def test_failures_that_lie_apart_are_not_one_long_outage() -> None:
    clock = FakeClock()
    readiness = synced(clock)
    for _ in range(3):
        readiness.interrupted("nodes", "the watch broke")
        clock.now_s += CALM_S
    assert readiness.reasons() == []
