"""Pods that wait for a place: active, backoff, gated, unschedulable.  Priority first, then age.

Knows who may be tried now.  Whether a pod fits anywhere is not known here.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from kmsched.core.model import Pod


class Waiting(Enum):
    ACTIVE = "active"  # is tried in the next cycle
    BACKOFF = "backoff"  # its last launch failed; is tried again after a pause
    GATED = "gated"  # has schedulingGates, or is being deleted
    UNSCHEDULABLE = "unschedulable"  # fits nowhere; waits for something that can help


def _asks(pod: Pod) -> tuple[object, ...]:
    """What may change of an unbound pod, and matters for its place."""
    rules = (pod.node_selector, pod.node_affinity, pod.preferred, pod.tolerations, pod.unsupported, pod.wishes)
    return pod.requests, pod.counts, rules, pod.is_gated, pod.is_terminating


@dataclass(slots=True)
class Queue:
    """Pods by uid; a pod is in one class at a time."""

    classes: dict[str, Waiting] = field(default_factory=dict)
    members: dict[Waiting, dict[str, None]] = field(default_factory=lambda: {waiting: {} for waiting in Waiting})
    pods: dict[str, Pod] = field(default_factory=dict)
    timers: list[tuple[float, str]] = field(default_factory=list)  # heap of (ready at, uid)
    ready_at: dict[str, float] = field(default_factory=dict)
    wakes: int = 0  # how often something happened that can help

    def put(self, pod: Pod, now: float, pause_s: float = 0.0) -> None:
        """Let the pod wait for a place, at first for `pause_s`."""
        self.pods[pod.uid] = pod
        if pod.is_gated or pod.is_terminating:
            self._set(pod.uid, Waiting.GATED)
        elif pause_s > 0:
            self._set(pod.uid, Waiting.BACKOFF)
            self.ready_at[pod.uid] = now + pause_s
            heapq.heappush(self.timers, (now + pause_s, pod.uid))
        else:
            self._set(pod.uid, Waiting.ACTIVE)

    def update(self, pod: Pod, now: float) -> None:
        """The pod has changed; a change of its spec may help it, but does not shorten its backoff."""
        before = self.pods.get(pod.uid)
        may_wait = not (pod.is_gated or pod.is_terminating)
        pauses = may_wait and self.classes.get(pod.uid) is Waiting.BACKOFF
        if before is None or pauses or _asks(before) == _asks(pod):
            self.pods[pod.uid] = pod
        else:
            self.put(pod, now)

    def remove(self, uid: str) -> None:
        waiting = self.classes.pop(uid, None)
        if waiting is not None:
            del self.members[waiting][uid]
        self.pods.pop(uid, None)
        self.ready_at.pop(uid, None)

    def park(self, uid: str) -> None:
        """It fits nowhere now."""
        if uid in self.classes:
            self._set(uid, Waiting.UNSCHEDULABLE)

    def wake(self) -> bool:
        """Something happened that can help pods that fit nowhere. True: there are such pods."""
        self.wakes += 1
        woken = list(self.members[Waiting.UNSCHEDULABLE])
        for uid in woken:
            self._set(uid, Waiting.ACTIVE)
        return bool(woken)

    def ripen(self, now: float) -> bool:
        """Ends the pauses that are over. True: there were any."""
        any_ripe = False
        while self.timers and self.timers[0][0] <= now:
            at, uid = heapq.heappop(self.timers)
            if self.classes.get(uid) is Waiting.BACKOFF and self.ready_at.get(uid) == at:
                self._set(uid, Waiting.ACTIVE)
                any_ripe = True
        return any_ripe

    def active(self) -> Iterator[str]:
        """Uids of those to try now, first things first. A heap: sorting tens of thousands takes long at once."""
        pods = map(self.pods.__getitem__, self.members[Waiting.ACTIVE])
        order = [(-pod.priority, pod.created_s, pod.key, pod.uid) for pod in pods]
        heapq.heapify(order)
        while order:
            yield heapq.heappop(order)[-1]

    def wants_offers(self) -> bool:
        """Is there a pod that an offer may help?"""
        return len(self.classes) > len(self.members[Waiting.GATED])

    def counts(self) -> dict[str, int]:
        return {waiting.value: len(members) for waiting, members in self.members.items()}

    def _set(self, uid: str, waiting: Waiting) -> None:
        before = self.classes.get(uid)
        if before is not None:
            del self.members[before][uid]
        self.classes[uid] = waiting
        self.members[waiting][uid] = None
        if waiting is not Waiting.BACKOFF:
            self.ready_at.pop(uid, None)
