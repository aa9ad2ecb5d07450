"""The lock in kubelet's root folder: whoever holds it is the only one there with a kubelet.

The executor takes it and kubelet inherits it, so it is free only when both are gone.  Knows the file and how long to
wait for a predecessor to end; nothing of what is done under the lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kmsched.clock import Clock
from kmsched.errors import ConfigRefused

LOCK_NAME = "kmsched.lock"
#: a predecessor that was told to end takes some seconds; one that does not end is not to be raced
LOCK_WAIT_S = 60.0
LOCK_POLL_S = 0.5


async def take_lock(root_dir: Path, clock: Clock, wait_s: float = LOCK_WAIT_S) -> int:
    """The descriptor that holds the lock, not inherited unless passed on. ConfigRefused: it stayed taken."""
    path = root_dir / LOCK_NAME
    descriptor = _open(path)
    deadline_s = clock.monotonic() + wait_s
    while not _try(descriptor):
        if clock.monotonic() >= deadline_s:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise ConfigRefused(
                f"{path} has been held for {wait_s:g} s by another executor or its kubelet (executor pid {holder}):"
                " end it first; two kubelets must never share a folder"
            )
        await clock.sleep(LOCK_POLL_S)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigRefused(f"cannot open {path}: {error.strerror}; the executor must run as root") from error


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
