"""What breaks while a file is published, each as a row of FAULTS.

Knows how to do the harm at the right moment and which exit codes may follow; nothing of judging.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from testbed.hdfs import Hdfs
from testbed.hdfs_layout import BLOCK_MIB, MIB, REPLICAS, Part, http_port
from tests.scenarios import uploads
from tests.scenarios.uploader import Uploader
from tests.scenarios.uploads import Fault, Scene, Trial

KILLED, UNREACHABLE, NO_PERMISSION, NO_SPACE, SAFE_MODE = -9, 21, 22, 23, 24
#: past the body come its verification and its new name
LATEST_SHARE, AFTER_BODY_S = 1.25, 3.0
SHORT_PAUSE_S = (1.0, 6.0)
OTHER_START_S = 1.0
#: until a DataNode is asked for the checksum of what is there
ASKED_S, LOOK_S = 30.0, 0.01
#: sizes of the soak: one to three blocks, and for one of EACH_LARGE five
SMALL_MIB, LARGE_MIB, EACH_LARGE = (24, 72), 150, 8


# --- the uploader itself


def _wait(scene: Scene, running: Uploader) -> bool:
    """Until the share is reached; past the whole body it is a time."""
    reached = running.wait_sent(scene.storage, min(scene.share, 0.99))
    if reached and scene.share > 1:
        time.sleep((scene.share - 1) / (LATEST_SHARE - 1) * AFTER_BODY_S)
    scene.notes["reached"] = reached
    return reached


def kill_uploader(scene: Scene, running: Uploader) -> list[Uploader]:
    if _wait(scene, running):
        running.kill()
    return [running]


def two_at_once(scene: Scene, running: Uploader) -> list[Uploader]:
    time.sleep(scene.random.uniform(0, OTHER_START_S))
    return [running, scene.start()]


def two_and_one_killed(scene: Scene, running: Uploader) -> list[Uploader]:
    other = scene.start()
    if _wait(scene, other):
        other.kill()
    return [running, other]


# --- DataNodes


def _connected(scene: Scene, running: Uploader) -> Part | None:
    """The DataNode that has the connection, once the share of the body is sent."""
    part = running.datanode(scene.storage) if _wait(scene, running) else None
    scene.notes["hit"] = part.name if part else ""
    return part


def _replica(scene: Scene, running: Uploader) -> Part | None:
    """A DataNode that writes a replica of what another one receives."""
    receiving = _connected(scene, running)
    if receiving is None:
        return None
    data = {part: scene.storage.layout.data(part) for part in scene.storage.layout.of("datanode")}
    found = [
        part
        for part, folder in data.items()
        if part != receiving and any(folder.glob("current/BP-*/current/rbw/blk_*"))
    ]
    scene.notes["hit"] = found[0].name if found else ""
    return found[0] if found else None


def kill_datanode(scene: Scene, running: Uploader) -> list[Uploader]:
    if (part := _connected(scene, running)) is not None:
        scene.storage.kill(part)
    return [running]


def kill_replica(scene: Scene, running: Uploader) -> list[Uploader]:
    if (part := _replica(scene, running)) is not None:
        scene.storage.kill(part)
    return [running]


def pause_replica(scene: Scene, running: Uploader) -> list[Uploader]:
    """Until the end: the others go on without it after hdfs_layout.REPLICA_TIMEOUT_MS."""
    if (part := _replica(scene, running)) is not None:
        scene.storage.pause(part)
    return [running]


def pause_datanode(scene: Scene, running: Uploader) -> list[Uploader]:
    if (part := _connected(scene, running)) is not None:
        scene.storage.pause(part)
        time.sleep(scene.random.uniform(*SHORT_PAUSE_S))
        scene.storage.resume(part)
    return [running]


def freeze_datanode(scene: Scene, running: Uploader) -> list[Uploader]:
    """For good: nobody says that it is gone, its connections stay open."""
    if (part := _connected(scene, running)) is not None:
        scene.storage.pause(part)
    return [running]


def published_and_frozen(scene: Scene) -> None:
    """The file is there already, and no DataNode that has its first block answers."""
    ended = scene.start().end()
    assert ended.code == 0, ended.text
    for part in _holders(scene):
        scene.storage.pause(part)


def thaw_another(scene: Scene, running: Uploader) -> list[Uploader]:
    """The one that is asked first stays as it is: it is sure to be hit."""
    hit = None
    until = time.monotonic() + ASKED_S
    while hit is None and running.process.poll() is None and time.monotonic() < until:
        hit = running.datanode(scene.storage)
        time.sleep(LOOK_S)
    for part in scene.storage.layout.of("datanode"):
        if part != hit and scene.storage.is_paused(part):
            scene.storage.resume(part)
    scene.notes["hit"], scene.notes["reached"] = hit.name if hit else "", hit is not None
    return [running]


def _holders(scene: Scene) -> list[Part]:
    """DataNodes with a replica of the file's first block."""
    found = scene.storage.call("GET", scene.target, "GET_BLOCK_LOCATIONS", offset="0", length="1")
    ports = {each["infoPort"] for each in found["LocatedBlocks"]["locatedBlocks"][0]["locations"]}
    return [part for part in scene.storage.layout.of("datanode") if http_port(part) in ports]


# --- NameNodes


def _leader(storage: Hdfs) -> tuple[Part, Part]:
    """The active NameNode and the other one."""
    active = storage.active()
    assert active is not None
    (other,) = (part for part in storage.layout.of("namenode") if part != active)
    return active, other


def kill_namenode(scene: Scene, running: Uploader) -> list[Uploader]:
    active, other = _leader(scene.storage)
    if _wait(scene, running):
        scene.storage.kill(active)
        scene.storage.activate(other)
    return [running]


def kill_both_namenodes(scene: Scene, running: Uploader) -> list[Uploader]:
    if _wait(scene, running):
        for part in scene.storage.layout.of("namenode"):
            scene.storage.kill(part)
    return [running]


def fail_over(scene: Scene, running: Uploader) -> list[Uploader]:
    _, other = _leader(scene.storage)
    if _wait(scene, running):
        scene.storage.activate(other)
    return [running]


# --- refusals


@contextlib.contextmanager
def _held(running: Uploader) -> Iterator[None]:
    """The upload stands still meanwhile: what follows takes longer than the rest of it."""
    os.kill(running.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(running.process.pid, signal.SIGCONT)


def safe_mode(scene: Scene, running: Uploader) -> list[Uploader]:
    if _wait(scene, running):
        with _held(running):
            scene.storage.run("dfsadmin", "-safemode", "enter")
    return [running]


def small_quota(scene: Scene) -> None:
    """Space for all blocks but the last one, which HDFS counts as a whole one."""
    blocks = -(-scene.size // (BLOCK_MIB * MIB))
    space = blocks * BLOCK_MIB * MIB * REPLICAS - 1
    scene.storage.call("PUT", scene.folder, "SETQUOTA", namespacequota="1000", storagespacequota=str(space))


def as_somebody(scene: Scene) -> None:
    scene.user = "somebody"


def old_file(scene: Scene) -> None:
    """What an exact upload is to replace."""
    scene.storage.run("fs", "-put", __file__, f"{scene.target}")
    scene.storage.call("PUT", scene.target, "SETOWNER", owner=scene.user, group=scene.user)
    scene.before = Path(__file__).stat().st_size


def nothing(scene: Scene, running: Uploader) -> list[Uploader]:
    return [running]


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


FAULTS = {
    "none": Fault(nothing, _codes(0)),
    # one that is done before it is killed has ended well
    "kill-uploader": Fault(kill_uploader, _codes(KILLED, 0)),
    "two-at-once": Fault(two_at_once, _codes(0)),
    "two-and-one-killed": Fault(two_and_one_killed, _codes(0)),
    "kill-datanode": Fault(kill_datanode, _codes(UNREACHABLE, 0)),
    "kill-replica": Fault(kill_replica, _codes(0, UNREACHABLE)),
    "pause-replica": Fault(pause_replica, _codes(0, UNREACHABLE)),
    "pause-datanode": Fault(pause_datanode, _codes(0, UNREACHABLE)),
    "freeze-datanode": Fault(freeze_datanode, _codes(0, UNREACHABLE)),
    "freeze-verifying": Fault(thaw_another, _codes(0), prepare=published_and_frozen),
    "kill-namenode": Fault(kill_namenode, _codes(0, UNREACHABLE)),
    "kill-both-namenodes": Fault(kill_both_namenodes, _codes(UNREACHABLE, 0)),
    "fail-over": Fault(fail_over, _codes(0, UNREACHABLE)),
    "safe-mode": Fault(safe_mode, _codes(SAFE_MODE, 0)),
    "quota": Fault(nothing, _codes(NO_SPACE), prepare=small_quota),
    "permission": Fault(nothing, _codes(NO_PERMISSION), prepare=as_somebody),
    "exact": Fault(nothing, _codes(0), prepare=old_file, exact=True),
    "exact-kill-uploader": Fault(kill_uploader, _codes(KILLED, 0), prepare=old_file, exact=True),
    "exact-kill-namenode": Fault(kill_namenode, _codes(0, UNREACHABLE), prepare=old_file, exact=True),
}
#: how often each comes in a soak, of 100
WEIGHTS = {
    "kill-uploader": 26,
    "two-at-once": 6,
    "two-and-one-killed": 8,
    "kill-datanode": 14,
    "kill-replica": 10,
    "pause-replica": 4,
    "pause-datanode": 5,
    "kill-namenode": 10,
    "fail-over": 3,
    "safe-mode": 3,
    "quota": 2,
    "permission": 1,
    "exact-kill-uploader": 6,
    "exact-kill-namenode": 2,
}


#: those that take minutes, in turns, one of EACH_SLOW trials
SLOW, EACH_SLOW = ("freeze-datanode", "kill-both-namenodes", "freeze-verifying"), 25


def soak_trial(storage: Hdfs, seed: int) -> Trial:
    """Fault, size and moment are decided by the seed."""
    random = Random(seed)
    name = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if (seed + 1) % EACH_SLOW == 0:
        name = SLOW[seed // EACH_SLOW % len(SLOW)]
    size = LARGE_MIB if seed % EACH_LARGE == 0 else random.randint(*SMALL_MIB)
    # a harm to a DataNode needs a body that is being sent
    latest = LATEST_SHARE if name.endswith(("kill-uploader", "one-killed", "namenode")) else 0.9
    size_bytes = size * MIB + random.randint(0, MIB)
    return uploads.trial(storage, name, FAULTS[name], seed, size_bytes, random.uniform(0, latest))
