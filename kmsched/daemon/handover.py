"""Giving the lead away on purpose: to a standby that can take it at once, else to a process that replaces this one.

Knows which of the two it is, what this process does before another acts, and how it goes on when none does.  How a
process is replaced is in `respawn`; how standbys are found and follow is in `group`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from kmsched.clock import Clock
from kmsched.core.leadership import Role
from kmsched.daemon.group import Group
from kmsched.daemon.respawn import LEADS_ON, Child, Places, replace
from kmsched.daemon.scheduler import Scheduler
from kmsched.daemon.systemd import Notifier
from kmsched.errors import NotHandedOver

log = logging.getLogger(__name__)

#: without --ha: for calls that were sent to be answered
SETTLE_S = 5.0
#: a standby may have become ready meanwhile
STANDS_AGAIN = "it had given the lease back, and whoever wins it leads: this process or a standby"
SUBSCRIBED = frozenset({Role.RECONCILING.value, Role.ACTIVE.value})

#: starts the replacement with the listening socket and the lock; NotHandedOver
Start = Callable[[socket.socket], Awaitable[Child]]


class Handover:
    """Made once a process. `replaced` is set when another process has taken our place: this one ends then."""

    def __init__(
        self,
        scheduler: Scheduler,
        group: Group | None,
        notifier: Notifier,
        start: Start,
        *,
        limit_s: float,
        clock: Clock,
    ) -> None:
        self._scheduler = scheduler
        self._group = group
        self._notifier = notifier
        self._start = start
        self._limit_s = limit_s
        self._clock = clock
        self._under_way = ""
        self._replacing: asyncio.Task[str] | None = None
        self.replaced = asyncio.Event()

    async def to(self, reason: str, instance: str | None) -> str:
        """As `Daemon.hand_over` says."""
        if self._under_way:
            words = f"a handover is under way already ({self._under_way}); no other is begun"
            log.warning("%s: not handed over: %s", reason, words)
            raise NotHandedOver(words)
        self._under_way = reason
        try:
            return await self._to(reason, instance)
        except NotHandedOver as error:
            log.error("%s: not handed over: %s", reason, error)
            raise
        finally:
            if not self.replaced.is_set():
                self._under_way = ""

    async def abandon(self) -> None:
        """End a replacement that does not lead yet: this process ends, and nothing shall follow it."""
        if self._replacing is not None and not self.replaced.is_set():
            self._replacing.cancel()
            await asyncio.wait({self._replacing})

    async def let_go(self, group: Group, reason: str) -> None:
        """So that others need not wait for the end of the lease."""
        group.lead.hold()
        await self._scheduler.settle(group.call_deadline_s)
        await group.leave(reason)

    async def _to(self, reason: str, instance: str | None) -> str:
        group = self._group
        if group is not None:
            if not group.leads:
                raise NotHandedOver("this process does not lead")
            standbys = [each.instance for each in group.healthy_standbys()]
            if instance is not None and instance not in standbys:
                raise NotHandedOver(
                    f"{instance} could not lead now ({', '.join(standbys) or 'nobody'} could); {LEADS_ON}"
                )
            if standbys:
                words = instance or " or ".join(standbys)
                log.info("%s: handing over to %s", reason, words)
                if instance is not None:
                    await group.amend_leader(successor=instance)
                await self.let_go(group, reason)
                return words
        elif instance is not None:
            raise NotHandedOver(f"{instance} is no standby: there are none without --ha; {LEADS_ON}")
        if self._scheduler.lead.role not in SUBSCRIBED:
            raise NotHandedOver(
                "no other scheduler could lead now, and this process is not subscribed with Mesos itself, so a"
                " replacement would not be either; it goes on as it is"
            )
        self._replacing = asyncio.ensure_future(self._replace(reason))
        try:
            return await self._replacing
        finally:
            self._replacing = None

    async def _replace(self, reason: str) -> str:
        scheduler = self._scheduler
        child = await self._start(scheduler.web.listening)
        log.info("%s: starting process %d to replace this one, %d", reason, child.pid, os.getpid())
        places = Places(
            step_aside=lambda: self._step_aside(reason), lead_on=self._lead_on, fingerprint=scheduler.fingerprint
        )
        await replace(child, places, self._clock, self._limit_s)
        try:
            await self._notifier.hand_to(child.pid)
        except BaseException:
            await child.end()
            raise
        child.let_go()
        self.replaced.set()
        return f"process {child.pid}"

    async def _step_aside(self, reason: str) -> None:
        """Let nothing out any more, and nobody in; returns when nothing of this process can have an effect."""
        scheduler, group = self._scheduler, self._group
        scheduler.lead.hold()
        await scheduler.web.pause()
        await scheduler.settle(SETTLE_S if group is None else group.call_deadline_s)
        await scheduler.sources.pause()
        if group is not None:
            await group.step_aside(reason)

    async def _lead_on(self) -> str:
        """After `_step_aside`, when the replacement has ended: in a new term; with a group, if nobody else leads."""
        scheduler, group = self._scheduler, self._group
        if group is None:
            scheduler.lead.lead_on()
        else:
            group.lead_on()
        scheduler.sources.resume()
        await scheduler.web.resume()
        return LEADS_ON if group is None else STANDS_AGAIN
