"""Before and beside the start: does the Kubernetes API let us in at all, and what else will go wrong?

Knows the difference between an API server that is away, which is waited for, and credentials that it does not accept,
which no waiting cures.  What the doctor finds is told, and ends nothing.
"""

from __future__ import annotations

import logging
from random import Random

from kmsched.clients.backoff import Backoff
from kmsched.clients.kube import KubeClient
from kmsched.clock import Clock
from kmsched.config import SchedulerConfig
from kmsched.daemon.patient import subject
from kmsched.daemon.readiness import KINDS, Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.daemon.surroundings import Surroundings
from kmsched.doctor.checks import START_CHECK_S, START_CHECKS, examine
from kmsched.doctor.findings import Severity
from kmsched.errors import ConfigRefused, Forbidden, NotFound, Unavailable

log = logging.getLogger(__name__)

RETRY_BASE_S = 0.2
RETRY_CAP_S = 5.0
#: an API server that has just started refuses for a moment what it will allow
FORBIDDEN_PATIENCE_S = 15.0
LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.INFO}


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
            await look(kube)
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


async def look(kube: KubeClient) -> None:
    """What no scheduler can do without. Errors as for `KubeClient.request`."""
    for kind in KINDS:
        await kube.request("GET", f"/api/v1/{kind}", query={"limit": "1"})


async def tell_findings(config: SchedulerConfig, surroundings: Surroundings) -> None:
    """A log line for each finding of the doctor's cheap checks, with what to do. Ends by itself, and never raises."""
    async with subject(
        config,
        clock=surroundings.clock,
        make_transport=surroundings.make_transport,
        environment=surroundings.environment,
        read=surroundings.read_artifact,
    ) as examined:
        for result in await examine(examined, START_CHECKS, limit_s=START_CHECK_S):
            for each in result.findings:
                log.log(LEVELS[each.severity], "%s: %s; %s", each.check, each.message, each.remedy)
