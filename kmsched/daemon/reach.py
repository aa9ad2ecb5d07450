"""Whether a scheduler of a group could do the work of a leader, and who leads when the one that does cannot.

Knows that a standby looks for the leading Mesos master and says in its member record whether that answers, and that a
leader which cannot serve gives the lead to a standby which could: after a while, and ever more seldom as long as that
does not help.  It does not know how the lead is handed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from kmsched.clock import Clock
from kmsched.daemon.group import Group
from kmsched.daemon.web_acts import HandOver
from kmsched.errors import KmError, NotHandedOver

log = logging.getLogger(__name__)

#: how often a standby looks for the master
PROBE_S = 5.0
LOOK_S = 1.0
#: a leader may be unable to serve for so long while another could: longer than a master's failover takes to be over for
#: one and not yet for the other
PATIENCE_S = 30.0
#: it doubles with each leader in a row that could not serve either, up to this
MAX_PATIENCE_S = 600.0


class Reach:
    """`run` until cancelled. `probe` returns when the leading master has answered; KmError: why not.

    `reasons`: why this process could not serve as the leader.
    """

    def __init__(
        self,
        group: Group,
        *,
        probe: Callable[[], Awaitable[None]],
        reasons: Callable[[], Sequence[str]],
        hand_over: HandOver,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._group = group
        self._probe = probe
        self._reasons = reasons
        self._hand_over = hand_over
        self._clock = clock
        self._rng = rng
        #: since when this leader cannot serve, and another could
        self._since: float | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probe_forever())
            group.create_task(self._look_forever())

    @property
    def patience_s(self) -> float:
        return min(MAX_PATIENCE_S, PATIENCE_S * 2.0 ** min(self._group.passed_on, 10))

    async def _probe_forever(self) -> None:
        while True:
            if not self._group.leads:
                try:
                    await self._probe()
                    self._group.reaches_mesos(True)
                except KmError as error:
                    log.debug("the leading Mesos master is out of reach: %s", error)
                    self._group.reaches_mesos(False)
            await self._clock.sleep(PROBE_S)

    async def _look_forever(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Hand over if it is time."""
        group, now = self._group, self._clock.monotonic()
        reasons = self._reasons()
        if group.leads and not reasons and group.passed_on:
            await group.amend_leader(passed_on=0)
        able = [each.instance for each in group.healthy_standbys() if each.reaches_mesos]
        if not (group.leads and reasons and able):
            self._since = None
            return
        self._since = now if self._since is None else self._since
        if now - self._since < self.patience_s:
            return
        lasted_s, self._since = now - self._since, None
        following = self._rng.choice(able)
        await group.amend_leader(passed_on=group.passed_on + 1)
        try:
            await self._hand_over(f"this leader could not serve for {lasted_s:.0f} s ({reasons[0]})", following)
        except NotHandedOver as error:
            log.debug("the lead stays: %s", error)
