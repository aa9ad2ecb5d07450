"""Nodes whose kubelet refused a pod at admission, kept from that pod's owner for a while (protocol rule 9).

A refused pod is Failed for good and its owner makes another; without a pause the two would go round as fast as they
can.  That our ledgers said it fits and kubelet's did not is worth a look, so both are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmsched.core.fit import Veto
from kmsched.core.model import Pod

#: kubelet's reasons for refusing a pod that was bound to it; "OutOf<resource>" besides
REASONS = frozenset({"NodeAffinity", "NodePorts", "NodeName", "Taints", "UnexpectedAdmissionError", "InvalidNodeInfo"})
OUT_OF = "OutOf"
PAUSE_S = 60.0


def is_refused(pod: Pod) -> bool:
    """Did kubelet fail it without starting anything?"""
    return pod.phase.is_terminal and (pod.reason in REASONS or pod.reason.startswith(OUT_OF))


@dataclass(slots=True)
class Refusals:
    until: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)  # (node, owner) -> (time, reason)

    def add(self, pod: Pod, now: float) -> None:
        if pod.owner_uid:
            self.until[pod.node_name, pod.owner_uid] = (now + PAUSE_S, pod.reason)

    def expire(self, now: float) -> bool:
        """True: a pause has ended."""
        over = [key for key, (until, _) in self.until.items() if until <= now]
        for key in over:
            del self.until[key]
        return bool(over)

    def owners(self) -> frozenset[str]:
        """Those from whose pods something is kept."""
        return frozenset(owner for _, owner in self.until)

    def veto(self, pod: Pod, node_name: str) -> Veto | None:
        if not self.until or not pod.owner_uid:
            return None
        found = self.until.get((node_name, pod.owner_uid))
        if found is None:
            return None
        return Veto("refused", f"kubelet refused a pod of the same owner ({found[1]}), which is tried later", False)
