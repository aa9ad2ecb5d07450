"""Pods that the API server has forgotten while kubelet still ends their containers.

A forced deletion removes the object at once.  The task must go on holding the resources until the containers are
gone (protocol rule 6): kubelet keeps a pod's folder for as long as it has any, so the folder is what is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmsched.clock import Clock
from kmsched.executor import events as ev

LOOK_PAUSE_S = 0.5
#: a folder that kubelet cannot clean up (a volume that hangs) must not hold resources for ever
LONGEST_S = 600.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Leaving:
    """`spawn` runs a coroutine beside; `tell` takes events for the core."""

    root_dir: Path  # kubelet's
    clock: Clock
    tell: Callable[[ev.Event], None]
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    known: dict[str, ev.PodSeen] = field(default_factory=dict)  # by uid
    leaving: set[str] = field(default_factory=set)

    def listed(self, pods: tuple[ev.PodSeen, ...]) -> None:
        """A complete list; what kubelet still has is told as being there."""
        present = {pod.uid for pod in pods}
        gone = [pod for uid, pod in self.known.items() if uid not in present]
        kept = [pod for pod in gone if self._has_folder(pod.uid)]
        self.known = {pod.uid: pod for pod in (*pods, *kept)}
        self.tell(ev.PodsListed((*pods, *kept)))
        for pod in kept:
            self._await_end(pod)

    def seen(self, pod: ev.PodSeen) -> None:
        self.known[pod.uid] = pod
        self.tell(pod)

    def deleted(self, pod: ev.PodSeen) -> None:
        if self._has_folder(pod.uid):
            self.known[pod.uid] = pod
            self._await_end(pod)
        else:
            self._gone(pod.uid)

    def _await_end(self, pod: ev.PodSeen) -> None:
        if pod.uid not in self.leaving:
            self.leaving.add(pod.uid)
            self.spawn(self._watch(pod))

    async def _watch(self, pod: ev.PodSeen) -> None:
        deadline_s = self.clock.monotonic() + LONGEST_S
        while self._has_folder(pod.uid):
            if self.clock.monotonic() >= deadline_s:
                log.warning("pod %s: kubelet has kept its folder for %.0f s; no longer waited for", pod.key, LONGEST_S)
                break
            await self.clock.sleep(LOOK_PAUSE_S)
        self.leaving.discard(pod.uid)
        self._gone(pod.uid)

    def _gone(self, uid: str) -> None:
        self.known.pop(uid, None)
        self.tell(ev.PodGone(uid))

    def _has_folder(self, uid: str) -> bool:
        return (self.root_dir / "pods" / uid).is_dir()
