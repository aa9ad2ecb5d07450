"""Whether a testbed has an HDFS, and how it gets one: the release that it runs is noted in its folder.

Knows that note and Hadoop's launchers; what HDFS does is in `testbed.hdfs`.
"""

from __future__ import annotations

import json
from pathlib import Path

from testbed import hadoop
from testbed.errors import LabError
from testbed.hadoop import Release
from testbed.hdfs import Hdfs, entered
from testbed.probe import Machine
from testbed.settings import Settings


def find(settings: Settings, machine: Machine) -> Hdfs | None:
    """The testbed's HDFS, if one was asked for."""
    try:
        paths = json.loads(_release_file(settings).read_text())
    except FileNotFoundError:
        return None
    return Hdfs(settings, machine, Release(**{name: Path(value) for name, value in paths.items()}))


def must_find(settings: Settings, machine: Machine) -> Hdfs:
    """Raises LabError: the testbed has none."""
    if (found := find(settings, machine)) is None:
        raise LabError(f"testbed {settings.name!r} has no HDFS; run: python3 -m testbed up --hdfs")
    return found


def prepare(settings: Settings, machine: Machine) -> Hdfs:
    """Makes HDFS a part of the testbed: from now on `up` starts it. Fetches it, if it is not cached."""
    if (found := find(settings, machine)) is not None:
        return found
    release = hadoop.build(settings.cache)
    file = _release_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".new")
    scratch.write_text(
        json.dumps({"java": str(release.java), "jars": str(release.jars), "classes": str(release.classes)})
    )
    scratch.replace(file)
    return must_find(settings, machine)


def _release_file(settings: Settings) -> Path:
    return settings.state / "hdfs" / "release.json"


def make_launchers(found: Hdfs, folder: Path) -> None:
    """`hadoop` and `hdfs` in the folder: Hadoop's own client, on the lab's network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("hadoop", "hdfs"):
        script = folder / name
        script.write_text(hadoop.launcher(found.release, entered(found.settings), found.layout.client))
        script.chmod(0o755)
