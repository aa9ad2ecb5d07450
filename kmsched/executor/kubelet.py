"""kubelet as the executor's child: what becomes of it, as events for the core.

Knows which event each piece of news is.  How it is started, looked after and ended is `executor.child`'s; what it is
told to do, `executor.kubelet_config`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from kmsched.executor import events as ev
from kmsched.executor.child import Ended, Healthy, Hopeless, News, Unhealthy

NAME = "kubelet"


def kubelet_event(news: News) -> ev.Event:
    match news:
        case Healthy():
            return ev.KubeletHealthy()
        case Unhealthy(reason):
            return ev.KubeletUnhealthy(reason)
        case Ended(reason):
            return ev.KubeletExited(reason)
        case Hopeless(reason):
            return ev.KubeletRefused(reason)


def telling(tell: Callable[[ev.Event], None]) -> Callable[[News], None]:
    """What a child that is kubelet is to tell its news to."""
    return lambda news: tell(kubelet_event(news))
