"""A kube-scheduler beside us that places the same pods: looked for while we run, and told while it is there.

It ends nothing, and makes no process unready.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kmsched.clients.kube import KubeClient
from kmsched.clients.kube_lease import REMEDY, WORDS, living_scheduler
from kmsched.clock import Clock
from kmsched.errors import Forbidden, KmError

LOOK_S = 15.0

log = logging.getLogger(__name__)


async def watch_for_rival(kube: KubeClient, name: str, tell: Callable[[str], None], clock: Clock) -> None:
    """Until cancelled. `tell` gets words at each look; "" for nothing to be told."""
    told = ""
    may_not = False
    while True:
        try:
            holder = await living_scheduler(kube, clock.wall())
        except Forbidden as error:
            if not may_not:
                may_not = True
                log.info("whether a kube-scheduler is alive cannot be seen: %s", error)
            holder = ""
        except KmError as error:
            log.debug("whether a kube-scheduler is alive is not known now: %s", error)
            await clock.sleep(LOOK_S)
            continue
        if holder and not told:
            log.warning("%s; %s", WORDS.format(holder=holder, name=name), REMEDY)
        elif told and not holder:
            log.info("no kube-scheduler is alive any more")
        told = f"{WORDS.format(holder=holder, name=name)}; {REMEDY}" if holder else ""
        tell(told)
        await clock.sleep(LOOK_S)
