from __future__ import annotations

from random import Random

from kmsched.clients.backoff import Backoff


def test_delays_double_up_to_the_cap_and_are_jittered_below() -> None:
    backoff = Backoff(1.0, 10.0, Random(3))
    delays = [backoff.next_s() for _ in range(100)]
    for delay, whole in zip(delays, [1.0, 2.0, 4.0, 8.0] + [10.0] * 96, strict=True):
        assert whole / 2 <= delay <= whole
    assert len(set(delays[4:])) > 90
    backoff.reset()
    assert backoff.next_s() <= 1.0
