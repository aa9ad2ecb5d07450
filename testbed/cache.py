"""The build cache: each product in a folder named by a hash of everything it was made from.

Knows no product. A folder with its final name is complete: it is made under another name and renamed. Superseded
folders are left alone, because a testbed that is up may still use them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from testbed.errors import LabError
from testbed.processes import locked

KEY_LENGTH = 16
BUILD_WAIT_S = 3600.0
MIB = 1 << 20


def key(inputs: Mapping[str, str | bytes]) -> str:
    """Hash of named inputs. Names and values are length-prefixed, so no two different inputs run together."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        value = inputs[name]
        for part in (name.encode(), value.encode() if isinstance(value, str) else value):
            digest.update(f"{len(part)}:".encode())
            digest.update(part)
    return digest.hexdigest()[:KEY_LENGTH]


def folder(cache: Path, product: str, inputs: Mapping[str, str | bytes]) -> Path:
    """Where the product made from `inputs` lies, or would lie."""
    return cache / f"{product}-{key(inputs)}"


def produce(
    cache: Path, product: str, inputs: Mapping[str, str | bytes], make: Callable[[Path], None], needs_mib: int
) -> Path:
    """Folder of the product; `make` fills an empty folder if there is none yet.

    Two callers at once are safe: one builds, the other waits up to an hour and takes the result. A build that is
    killed leaves a folder with another name, which the next one removes.

    Raises:
        LabError: the disk is too full, or `make` failed.
    """
    done = folder(cache, product, inputs)
    if done.is_dir():
        return done
    with locked(cache / f".{product}.lock", f"the build of {product}", BUILD_WAIT_S):
        if done.is_dir():
            return done
        for left in cache.glob(f".{product}-*.part"):
            remove_tree(left)
        require_free_disk([(cache, needs_mib, product)])
        part = cache / f".{done.name}.part"
        part.mkdir(mode=0o755)
        started = time.monotonic()
        try:
            make(part)
        except BaseException:
            remove_tree(part)
            raise
        os.sync()  # a folder with its final name must be whole after a power cut, too
        part.rename(done)
        print(f"{product}: built in {time.monotonic() - started:.0f} s, {size_mib(done)} MiB in {done}", flush=True)
    return done


def require_free_disk(needs: Iterable[tuple[Path, int, str]]) -> None:
    """Refuses to start a build that would fill a disk; needs on the same file system are added up.

    Raises:
        LabError: names the path, the MiB that are needed and those that are free.
    """
    by_device: dict[int, list[tuple[Path, int, str]]] = {}
    for path, mib, what in needs:
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        by_device.setdefault(there.stat().st_dev, []).append((there, mib, what))
    for wants in by_device.values():
        path, needed = wants[0][0], sum(mib for _, mib, _ in wants)
        free = shutil.disk_usage(path).free // MIB
        if free < needed:
            what = ", ".join(name for _, _, name in wants)
            raise LabError(
                f"{path}: {needed} MiB of free disk are needed for {what}, {free} MiB are available; "
                f"make room, or point KM_CACHE_DIR to another disk"
            )


def size_mib(path: Path) -> int:
    """MiB that the files below `path` hold; files that vanish meanwhile do not count."""
    total = 0
    for base, _, files in os.walk(path):
        for file in files:
            try:
                total += os.lstat(Path(base) / file).st_size
            except FileNotFoundError:
                continue
    return total // MIB


def remove_tree(path: Path) -> None:
    """Removes a folder, read-only ones inside it (Go's module cache makes them) included."""

    def retry(function: Callable[[str], object], name: str, _: object) -> None:
        if isinstance(_, tuple) and isinstance(_[1], FileNotFoundError):
            return
        Path(name).parent.chmod(0o700)
        function(name)

    shutil.rmtree(path, onerror=retry)
