"""The limit of inotify instances, on made-up machines."""

from __future__ import annotations

from pathlib import Path

from testbed import limits


def machine(root: Path, instances: int) -> Path:
    file = root / limits.INSTANCES
    file.parent.mkdir(parents=True)
    file.write_text(f"{instances}\n")
    return file


def test_a_low_limit_is_raised(tmp_path: Path) -> None:
    file = machine(tmp_path, 128)
    assert limits.raise_inotify(tmp_path) == 128
    assert file.read_text() == "1024\n"


def test_a_higher_one_is_left(tmp_path: Path) -> None:
    file = machine(tmp_path, 8192)
    assert limits.raise_inotify(tmp_path) == 8192
    assert file.read_text() == "8192\n"
