"""The link to the Mesos agent: one subscription after the other, updates in order, until the agent is lost.

Knows when to subscribe again and for how long, and turns Mesos' events into the executor's.  Which updates and tasks
are unacknowledged it asks for at each subscription; a call that fails ends the subscription, since the next one
carries all of them again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any

import msgspec

from kmsched.clients.mesos_executor import MesosExecutorApi
from kmsched.clock import Clock
from kmsched.core.resources import MILLI, Resources
from kmsched.errors import ExecutorUnknown, Fatal, KmError, ProtocolError, Unavailable
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor import hot
from kmsched.wire import mesos_executor as wire
from kmsched.wire import taskdata
from kmsched.wire.mesos import ErrorEvent, Json, Resource, TaskStatus
from kmsched.wire.offers import decode_attributes

#: the agent forbids nothing here, but two tries a second are enough for one that restarts
SUBSCRIBE_PAUSE_S = 0.5
#: an agent that starts an executor waits about a minute for it to register
FIRST_SUBSCRIPTION_S = 60.0

log = logging.getLogger(__name__)


class AgentLink:
    """`tell` takes events for the core, `unacknowledged` gives its task ids and updates. Durations in seconds."""

    def __init__(
        self,
        api: MesosExecutorApi,
        *,
        clock: Clock,
        recovery_s: float,
        pause_max_s: float,
        tell: Callable[[ev.Event], None],
        unacknowledged: Callable[[], tuple[list[str], list[do.SendUpdate]]],
    ) -> None:
        self._api = api
        self._clock = clock
        self._recovery_s = recovery_s
        self._pause_s = min(SUBSCRIBE_PAUSE_S, pause_max_s)
        self._tell = tell
        self._unacknowledged = unacknowledged
        self._raw: dict[str, Json] = {}  # TaskInfos, for as long as they may have to be sent back
        self._outbox: deque[do.SendUpdate] = deque()  # made since the last SUBSCRIBE, at most what the core keeps
        self._words: bytes | None = None  # for the scheduler; only the newest count
        self._posted = asyncio.Event()
        self._give_up_s = clock.monotonic() + max(recovery_s, FIRST_SUBSCRIPTION_S)
        self._trouble = ""

    @property
    def launches_kept(self) -> int:
        return len(self._raw)

    def post(self, update: do.SendUpdate) -> None:
        """Send it in its turn; while there is no subscription the next one carries it."""
        self._outbox.append(update)
        self._posted.set()

    def say(self, words: bytes) -> None:
        """A message for the scheduler, once there is a subscription; it may be lost."""
        self._words = words
        self._posted.set()

    async def run(self) -> None:
        """Ends when the agent is lost, after telling so."""
        while (lost := await self._one_subscription()) is None:
            await self._clock.sleep(self._pause_s)
        self._tell(ev.AgentLost(lost))

    async def _one_subscription(self) -> str | None:
        """Words for why there will not be another one, or None."""
        try:
            await self._subscribe()
        except ExecutorUnknown as error:
            return str(error)
        except KmError as error:
            # a ProtocolError, too: an agent in the middle of an upgrade may answer anything for a while
            if isinstance(error, Fatal) and not isinstance(error, ProtocolError):
                raise
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("no subscription at the agent: %s", error)
        if self._clock.monotonic() >= self._give_up_s:
            return f"the agent has been away for longer than the recovery timeout: {self._trouble}"
        return None

    async def _subscribe(self) -> None:
        task_ids, updates = self._unacknowledged()
        self._outbox.clear()  # `updates` has them all
        self._raw = {task_id: self._raw[task_id] for task_id in task_ids if task_id in self._raw}
        statuses = [self._status(update) for update in updates]
        events = self._api.subscribe(list(self._raw.values()), statuses)
        sender: asyncio.Task[None] | None = None
        try:
            async with aclosing(events):
                while True:
                    event = await self._next(events, sender)
                    self._give_up_s = self._clock.monotonic() + self._recovery_s
                    if isinstance(event, wire.Subscribed) and sender is None:
                        log.info("subscribed at the agent, with %d tasks and %d updates", len(task_ids), len(updates))
                        self._trouble = ""
                        sender = asyncio.create_task(self._send_posted())
                    self._take(event)
        finally:
            if sender is not None:
                # silence of the stream counts from its end, not from its last event
                self._give_up_s = self._clock.monotonic() + self._recovery_s
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    async def _next(self, events: Any, sender: asyncio.Task[None] | None) -> wire.ExecutorEvent:
        """The stream's next event, or the error of the sender, whichever comes first."""
        reading: asyncio.Task[wire.ExecutorEvent] = asyncio.ensure_future(anext(events))
        try:
            await asyncio.wait({reading, *([sender] if sender else [])}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            if sender is not None:
                sender.result()
            raise Unavailable("the sender of updates ended")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _send_posted(self) -> None:
        while True:
            if self._outbox:
                await self._api.update(self._status(self._outbox[0]))
                self._outbox.popleft()
            elif self._words is not None:
                words, self._words = self._words, None
                await self._api.message(words)
            else:  # and nothing was posted during the last call
                self._posted.clear()
                await self._posted.wait()

    def _status(self, update: do.SendUpdate) -> TaskStatus:
        age_s = self._clock.monotonic() - update.made_s
        return wire.new_status(
            task_id=update.task_id,
            executor_id=self._api.executor_id,
            state=update.state.value,
            uuid=update.update_id,
            timestamp=self._clock.wall() - age_s,
            text=update.message or None,
            reason=update.reason or None,
        )

    def _take(self, event: wire.ExecutorEvent) -> None:
        match event:
            case wire.Launch():
                self._raw[event.task.task_id.value] = event.raw
                for each in launched(event.task):
                    self._tell(each)
            case wire.Acknowledged():
                # from now on a restarted agent knows the task itself
                self._raw.pop(event.task_id.value, None)
                self._tell(ev.Acknowledged(event.task_id.value, event.uuid))
            case ErrorEvent(message):
                raise Unavailable(f"the agent says: {message}")
            case wire.LaunchGroup(group):
                for task in group.get("tasks", ()):
                    task_id = str(task.get("task_id", {}).get("value", ""))
                    self._tell(ev.TaskUnreadable(task_id, "task groups are not for this executor: launch single tasks"))
            case wire.ExecutorMessage():
                if (settings := hot.from_message(event.data)) is not None:
                    self._tell(settings)
            case _:
                if (known := executor_event(event)) is not None:
                    self._tell(known)


def launched(task: wire.TaskInfo) -> list[ev.Event]:
    """TaskLaunched, after the settings that came with it; or TaskUnreadable when its data are not ours."""
    try:
        data = taskdata.decode(task.data)
    except ProtocolError as error:
        return [ev.TaskUnreadable(task.task_id.value, str(error))]
    settings = hot.from_launch(data.settings) if data.settings is not msgspec.UNSET else None
    start = ev.TaskLaunched(task.task_id.value, data.mode, data.pod, data.uid)
    return [start] if settings is None else [settings, start]


def executor_event(event: wire.ExecutorEvent) -> ev.Event | None:
    """The event as the executor's core knows it; None for those that mean nothing to it."""
    match event:
        case wire.Subscribed():
            agent = event.agent_info
            return ev.Subscribed(
                agent=total(agent.resources),
                executor=total(event.executor_info.resources),
                hostname=agent.hostname,
                attributes=tuple(sorted(decode_attributes(agent.attributes).items())),
            )
        case wire.Kill():
            return ev.KillRequested(event.task_id.value, event.grace_s)
        case wire.Shutdown():
            return ev.ShutdownRequested()
        case _:
            return None


def total(resources: Iterable[Resource]) -> Resources:
    """All that may be given to tasks for good, whoever it is reserved for: lent resources are left out."""
    sums = {"cpus": 0, "mem": 0}
    for one in resources:
        if one.name in sums and one.scalar is not None and one.revocable is None:
            sums[one.name] += round(one.scalar.value * MILLI)
    return Resources(**sums)
