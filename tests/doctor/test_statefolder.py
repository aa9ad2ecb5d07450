"""The state folder, read and never touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kmsched.doctor import statefolder
from kmsched.doctor.findings import NotChecked
from kmsched.doctor.subject import Subject
from tests.doctor.patients import World, said


def pod(name: str, task_id: str) -> dict[str, Any]:
    annotations = {"k8s.mesosphere.io/taskId": task_id}
    return {"metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "annotations": annotations}}


def with_pods(folder: Path, *pods: dict[str, Any]) -> Subject:
    return World(folder, {"https://api:6443/api/v1/pods": {"items": list(pods)}}).subject()


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


def test_a_record_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "framework-id").write_bytes(b"\0\0\0")
    [words] = said(statefolder.folder, World(tmp_path).subject())
    assert words.startswith(f"{tmp_path}/framework-id is no record:")
    with pytest.raises(NotChecked, match="is no record"):
        said(statefolder.framework_id, World(tmp_path).subject())


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


def test_pods_are_bound_and_the_id_is_missing(tmp_path: Path) -> None:
    subject = with_pods(tmp_path, pod("a", "uid-a.1.1"), pod("b", "uid-other.1.1"), pod("c", "made up"))
    assert said(statefolder.framework_id, subject) == [f"{tmp_path} holds no framework id, and 1 pods are bound (ns/a)"]


@pytest.mark.parametrize("value", ["f-1", ""])
def test_with_an_id_or_after_a_reset_all_is_well(tmp_path: Path, value: str) -> None:
    (tmp_path / "framework-id").write_text(f'{{"schema":1,"revision":1,"value":"{value}"}}')
    assert said(statefolder.framework_id, with_pods(tmp_path, pod("a", "uid-a.1.1"))) == []


def test_pages_are_followed_to_the_first_pod_of_ours(tmp_path: Path) -> None:
    first = {"items": [pod("x", "")], "metadata": {"continue": "more"}}
    world = World(tmp_path, {"continue=more": {"items": [pod("a", "uid-a.1.1")]}, "/api/v1/pods": first})
    [words] = said(statefolder.framework_id, world.subject())
    assert "(ns/a)" in words
