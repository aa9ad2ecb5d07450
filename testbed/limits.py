"""The one setting of the machine itself that a testbed may have to raise: inotify instances of root.

Every host's systemd, containerd and kubelet take some 15 of them, and Linux gives each user 128: a second testbed's
kubelets would end with "inotify_init: too many open files".
"""

from __future__ import annotations

from pathlib import Path

from testbed.errors import LabError

INSTANCES = "proc/sys/fs/inotify/max_user_instances"
WANTED_INSTANCES = 1024


def raise_inotify(root: Path = Path("/")) -> int:
    """Raises the limit of inotify instances to WANTED_INSTANCES, if it is lower; what it was before.

    Raises:
        LabError: it is too low and cannot be raised from here.
    """
    file = root / INSTANCES
    before = int(file.read_text())
    if before < WANTED_INSTANCES:
        try:
            file.write_text(f"{WANTED_INSTANCES}\n")
        except OSError as error:
            raise LabError(
                f"fs.inotify.max_user_instances is {before} and cannot be raised here ({error.strerror}); "
                f"set it on the machine: sysctl fs.inotify.max_user_instances={WANTED_INSTANCES}"
            ) from None
        print(f"fs.inotify.max_user_instances of this machine: {before} -> {WANTED_INSTANCES}", flush=True)
    return before
