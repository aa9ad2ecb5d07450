"""What this machine lacks, found by looking. Decides which wrappers the hosts get; changes nothing.

Every path is below a root folder, so the probes can be tried on a made-up tree. Settings of the kernel are probed
inside each host at boot (files/host/testbed-kernel.sh), because they differ there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.errors import LabError

#: runc and kubelet cannot set limits, nor kubelet its QoS groups, when one of these is missing
LIMIT_CONTROLLERS = frozenset({"cpu", "memory", "pids"})
UNIFIED = "sys/fs/cgroup"
HYBRID = "sys/fs/cgroup/unified"
RUNC_NOLIMITS = "/usr/local/sbin/runc-nolimits"
#: what it calls
DROP_LIMITS = "/usr/local/lib/testbed-drop-limits.pl"


@dataclass(frozen=True, slots=True)
class Machine:
    """`cgroups`: where cgroup v2 is mounted; `controllers`: those that it may hand out."""

    cgroups: Path
    controllers: frozenset[str]

    @property
    def has_limits(self) -> bool:
        return self.controllers >= LIMIT_CONTROLLERS


def machine(root: Path = Path("/")) -> Machine:
    """Looks below `root`.

    Raises:
        LabError: there is no cgroup v2 at all.
    """
    for place in (UNIFIED, HYBRID):
        file = root / place / "cgroup.controllers"
        if file.is_file():
            return Machine(root / place, frozenset(file.read_text().split()))
    raise LabError(f"no cgroup v2 at {root / UNIFIED} or {root / HYBRID}; the hosts' systemd needs it")


def kubelet_flags(found: Machine) -> dict[str, str]:
    """kubelet's own flags without which it does not start on such a machine."""
    return {} if found.has_limits else {"cgroups-per-qos": "false", "enforce-node-allocatable": ""}


def runc_binary(found: Machine) -> str | None:
    """The runc that containerd has to call; None: the usual one."""
    return None if found.has_limits else RUNC_NOLIMITS
