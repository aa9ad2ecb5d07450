"""Before anything is started: does the Kubernetes API let us in at all?

Knows the difference between an API server that is away, which is waited for, and credentials that it does not accept,
which no waiting cures.
"""

from __future__ import annotations

import logging
from random import Random

from kmsched.clients.backoff import Backoff
from kmsched.clients.kube import KubeClient
from kmsched.clock import Clock
from kmsched.daemon.readiness import KINDS, Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.errors import ConfigRefused, Forbidden, NotFound, Unavailable

log = logging.getLogger(__name__)

RETRY_BASE_S = 0.2
RETRY_CAP_S = 5.0
#: an API server that has just started refuses for a moment what it will allow
FORBIDDEN_PATIENCE_S = 15.0


async def await_access(
    kube: KubeClient, *, origin: str, readiness: Readiness, repeats: Repeats, clock: Clock, rng: Random
) -> None:
    """Until pods and nodes may be listed. ConfigRefused: our credentials are refused, and stay so.

    `origin` says in messages where the credentials come from.
    """
    backoff = Backoff(RETRY_BASE_S, RETRY_CAP_S, rng)
    refused_since: float | None = None
    while True:
        try:
            for kind in KINDS:
                await kube.request("GET", f"/api/v1/{kind}", query={"limit": "1"})
            return
        except Forbidden as error:
            now = clock.monotonic()
            refused_since = now if refused_since is None else refused_since
            if now - refused_since >= FORBIDDEN_PATIENCE_S:
                raise ConfigRefused(
                    f"{origin}: the Kubernetes API does not let us list pods and nodes: {error};"
                    " check that the credentials are current and that their user has the scheduler's role"
                ) from error
            reason = str(error)
        except NotFound as error:
            raise ConfigRefused(
                f"{origin}: no Kubernetes API answers there: {error}; check the server's URL"
            ) from error
        except Unavailable as error:
            refused_since = None
            reason = str(error)
        for kind in KINDS:
            readiness.interrupted(kind, reason)
        if repeats.is_news(reason):
            log.warning("the Kubernetes API cannot be used yet: %s; trying on", reason)
        await clock.sleep(backoff.next_s())
