"""The dead-man's connection of a standby to whoever leads: a process that died is followed in a moment.

Knows what proves that a process is dead while its host lives: the connection broke without a goodbye, and then nobody
listens at its port, twice, or another process answers there.  Packets that are dropped prove nothing; then the lease's
TTL decides.  A proof that is wrong costs one handover and no pod: the fences hold without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from kmsched.clients.http import Request, Transport
from kmsched.clock import Clock
from kmsched.errors import KmError, NobodyListens, ProtocolError
from kmsched.wire import members as records
from kmsched.wire.members import NO_LEASE, Leader

log = logging.getLogger(__name__)

PATH, WHO_PATH = "/deadman", "/leader"
GOODBYE = b"bye"
#: two refusals so far apart: a process that is just being replaced listens again within less
BETWEEN_S = 0.05
REFUSALS = 2
#: how long the leader has for its greeting, and for an answer to the question who it is
CONNECT_S = 1.0
#: nothing is said on the connection: the kernel's keepalive ends it
IDLE_S = 30 * 24 * 3600.0
PAUSE_S = 0.2
#: whether the process that is held on to still leads is looked at so often
LOOK_S = 1.0
MAX_LINE_BYTES = 10_000
#: more takeovers than this within a minute are a fault that taking over does not mend
MAX_TAKEOVERS = 3
TAKEOVERS_S = 60.0
ALARM = (
    f"{MAX_TAKEOVERS} leaders died within {TAKEOVERS_S:.0f} s: the next is followed when its lease ends, after"
    " --ha-lease-ttl, and not at once; look into their logs for why they die"
)


class DeadMan:
    """`run` until cancelled. `leader` tells who leads, None also when that is this process; `revoke` ends a lease."""

    def __init__(
        self,
        leader: Callable[[], Leader | None],
        revoke: Callable[[int], Awaitable[bool]],
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._leader = leader
        self._revoke = revoke
        self._transport = transport
        self._clock = clock
        self._takeovers: deque[float] = deque(maxlen=MAX_TAKEOVERS)
        #: how often the lease of a dead process was ended by this one
        self.revoked = 0
        #: how often one was left to its TTL since there had been too many
        self.left = 0
        self._left_lease_id = NO_LEASE

    @property
    def alarm(self) -> str:
        """Why a death is left to the TTL now, or ""."""
        is_often = len(self._takeovers) == MAX_TAKEOVERS
        return ALARM if is_often and self._clock.monotonic() - self._takeovers[0] < TAKEOVERS_S else ""

    async def run(self) -> None:
        while True:
            leader = self._leader()
            if leader is not None and not await self._hold_on_while_it_leads(leader):
                await self._judge(leader)
            await self._clock.sleep(PAUSE_S)

    async def _hold_on_while_it_leads(self, leader: Leader) -> bool:
        """As `_hold_on`; True, too, when somebody else leads by now: a frozen process keeps its connections."""
        holding = asyncio.ensure_future(self._hold_on(leader))
        try:
            while not holding.done():
                timer = asyncio.ensure_future(self._clock.sleep(LOOK_S))
                await asyncio.wait({holding, timer}, return_when=asyncio.FIRST_COMPLETED)
                timer.cancel()
                current = self._leader()
                if current is None or current.boot_id != leader.boot_id:
                    return True
            return holding.result()
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold_on(self, leader: Leader) -> bool:
        """Stay connected; True when it ended with a goodbye, or another process answers for a leader that is known."""
        request = Request("GET", leader.url + PATH)
        try:
            async with self._transport.stream(request, connect_s=CONNECT_S, idle_s=IDLE_S) as stream:
                if stream.status != 200:
                    return False
                said = b""
                async for chunk in stream.chunks():
                    said = (said + chunk)[-MAX_LINE_BYTES:]
                    first, newline, _ = said.partition(b"\n")
                    if newline and records.decode_hello(first, leader.url).boot_id != leader.boot_id:
                        return False
                return said.rstrip().endswith(GOODBYE)
        except (KmError, OSError) as error:
            log.debug("the connection to the leader %s ended: %s", leader.instance, error)
            return False

    async def _judge(self, leader: Leader) -> None:
        """End the lease of a process that is surely dead."""
        for attempt in range(REFUSALS):
            if attempt:
                await self._clock.sleep(BETWEEN_S)
            proof = await self._proof(leader)
            if not proof:
                return
            if proof is not _REFUSED:
                break
        current = self._leader()
        if current is None or current.lease_id != leader.lease_id:
            return
        if self.alarm:
            self._leave(leader)
            return
        log.warning("the leader %s is dead: %s; ending its lease", leader.instance, proof)
        try:
            if await self._revoke(int(leader.lease_id)):
                self.note_takeover()
        except (KmError, ValueError) as error:
            log.warning("the lease of the dead leader %s is left to its TTL: %s", leader.instance, error)

    async def _proof(self, leader: Leader) -> str:
        """Why the process that holds the lease is dead; "": it is not known to be."""
        try:
            answer = await self._transport.call(Request("GET", leader.url + WHO_PATH), deadline_s=CONNECT_S)
            hello = records.decode_hello(answer.body, leader.url)
        except NobodyListens:
            return _REFUSED
        except (KmError, ProtocolError) as error:
            log.debug("whether the leader %s lives is not known: %s", leader.instance, error)
            return ""
        # without a lease: it may be this very process, on a copy of the leader's host, and has proved nothing yet
        if hello.boot_id == leader.boot_id or hello.lease_id == NO_LEASE:
            return ""
        return f"another process answers at {leader.url}"

    def note_takeover(self) -> None:
        self.revoked += 1
        self._takeovers.append(self._clock.monotonic())

    def _leave(self, leader: Leader) -> None:
        """Tell once of each lease."""
        if leader.lease_id != self._left_lease_id:
            self._left_lease_id = leader.lease_id
            self.left += 1
            log.error("the leader %s is dead, and its lease is left to its TTL: %s", leader.instance, self.alarm)


_REFUSED = "nobody listens at its port"
