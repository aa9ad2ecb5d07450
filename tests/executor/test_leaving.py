"""A pod whose object is gone is there until kubelet has let go of its folder."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from kmsched.core.model import Phase
from kmsched.executor import events as ev
from kmsched.executor.leaving import LONGEST_S, Leaving
from tests.clients.fakes import FakeClock


def pod(uid: str) -> ev.PodSeen:
    return ev.PodSeen(uid=uid, key=f"default/{uid}", phase=Phase.RUNNING)


class Story:
    def __init__(self, root: Path) -> None:
        self.told: list[ev.Event] = []
        self.beside: list[Coroutine[Any, Any, None]] = []
        self.root = root
        self.leaving = Leaving(root, FakeClock(), self.told.append, self.beside.append)

    def folder(self, uid: str) -> Path:
        path = self.root / "pods" / uid
        path.mkdir(parents=True)
        return path


def test_a_pod_without_a_folder_is_gone_at_once(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.leaving.deleted(pod("a"))
    assert story.told == [ev.PodGone("a")]
    assert not story.beside


def test_a_pod_that_kubelet_still_has_is_gone_when_its_folder_is(tmp_path: Path) -> None:
    story = Story(tmp_path)
    folder = story.folder("a")
    story.leaving.deleted(pod("a"))
    story.leaving.deleted(pod("a"))
    assert story.told == []
    assert len(story.beside) == 1
    folder.rmdir()
    asyncio.run(story.beside[0])
    assert story.told == [ev.PodGone("a")]


def test_a_pod_that_a_new_list_lacks_is_told_as_there_while_kubelet_has_it(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.leaving.listed((pod("a"), pod("b"), pod("c")))
    folder = story.folder("a")
    story.leaving.listed((pod("b"),))
    assert story.told[1] == ev.PodsListed((pod("b"), pod("a")))
    folder.rmdir()
    asyncio.run(story.beside[0])
    assert story.told[2:] == [ev.PodGone("a")]


def test_a_folder_that_stays_holds_the_task_for_a_bounded_time(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.folder("a")
    story.leaving.deleted(pod("a"))
    asyncio.run(story.beside[0])
    assert story.told == [ev.PodGone("a")]
    assert story.leaving.clock.monotonic() >= LONGEST_S
