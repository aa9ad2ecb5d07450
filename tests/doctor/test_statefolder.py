"""The state folder, read and never touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kmsched.doctor import records, statefolder
from kmsched.doctor.findings import NotChecked
from tests.doctor.patients import World, said


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    assert said(statefolder.folder, World(tmp_path).subject()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    subject = World(tmp_path).subject(f"--state-dir={file}/state")
    assert said(statefolder.folder, subject) == [
        f"--state-dir: {file}/state is not there, and {file} cannot be written by this user (uid {os.geteuid()})"
    ]


def test_a_folder_that_this_user_cannot_see(tmp_path: Path) -> None:
    with pytest.raises(NotChecked, match="cannot be seen by this user: File name too long"):
        said(statefolder.folder, World(tmp_path).subject(f"--state-dir=/{'x' * 300}/state"))


def test_a_record_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "framework-id").write_bytes(b"\0\0\0")
    [words] = said(statefolder.folder, World(tmp_path).subject())
    assert words.startswith(f"{tmp_path}/framework-id is no record:")
    with pytest.raises(NotChecked, match="is no record"):
        said(records.framework_id, World(tmp_path).subject())


def test_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    seen = lock.stat()
    where = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}"
    (tmp_path / "locks").write_text(
        f"1: FLOCK  ADVISORY  WRITE 4711 {where} 0 EOF\n2: POSIX  ADVISORY  READ 4712 00:00:1 0 EOF\n"
    )
    subject = World(tmp_path).subject()
    assert said(statefolder.lock, subject) == [f"--state-dir={tmp_path} is held by pid 4711"]


def test_a_lock_that_nobody_holds(tmp_path: Path) -> None:
    subject = World(tmp_path).subject()
    assert said(statefolder.lock, subject) == []
    (tmp_path / "lock").touch()
    with pytest.raises(NotChecked, match="No such file"):
        said(statefolder.lock, subject)
    (tmp_path / "locks").write_text("")
    assert said(statefolder.lock, subject) == []
