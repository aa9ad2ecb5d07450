"""What kubelet's news are to the core."""

from __future__ import annotations

import pytest

from kmsched.executor import events as ev
from kmsched.executor.child import Ended, Healthy, Hopeless, News, Unhealthy
from kmsched.executor.kubelet import telling


@pytest.mark.parametrize(
    ("news", "event"),
    [
        (Healthy(), ev.KubeletHealthy()),
        (Unhealthy("a"), ev.KubeletUnhealthy("a")),
        (Ended("b"), ev.KubeletExited("b")),
        (Hopeless("c"), ev.KubeletRefused("c")),
    ],
)
def test_each_news_is_an_event(news: News, event: ev.Event) -> None:
    told: list[ev.Event] = []
    telling(told.append)(news)
    assert told == [event]
