"""What `km_look` tells of files: as a task of Ansible gets it, and its parts."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.km_files import sha256
from plugins.modules import km_look
from tests.ansible import adhoc


def test_all_that_is_asked_is_told_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"a\xff\n")
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "folder").mkdir()
    items: list[Any] = [
        {"path": "kept", "mark": 1},
        {"src": "kept"},
        str(tmp_path / "link"),
        "folder",
        "gone",
        "kept/x",
    ]
    told = adhoc.task(tmp_path, "km_look", files=items, folder=str(tmp_path), contents=["kept", "gone", "folder"]).told
    assert told["changed"] is False
    kept, again, link, folder, gone, below = told["results"]
    assert [each["item"] for each in told["results"]] == items
    assert kept["stat"]["checksum"] == hashlib.sha256(b"a\xff\n").hexdigest() == again["stat"]["checksum"]
    assert base64.b64decode(kept["content"]) == base64.b64decode(again["content"]) == b"a\xff\n"
    assert kept["stat"]["mtime"] == (tmp_path / "kept").stat().st_mtime
    assert (link["stat"]["lnk_target"], link["stat"]["lnk_source"]) == ("kept", str(tmp_path / "kept"))
    assert "checksum" not in link["stat"] and "checksum" not in folder["stat"] and folder["stat"]["exists"]
    assert [gone["stat"]["exists"], below["stat"]["exists"]] == [False, False]
    assert not any("content" in each for each in (link, folder, gone, below))


def test_no_files_are_no_results() -> None:
    assert km_look.results([], "", []) == []


@pytest.mark.parametrize("item", [{}, {"path": ""}, ""])
def test_a_file_without_a_path_is_refused(item: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{item!r} names no path")):
        km_look.results([item], "", [])


def test_what_is_refused_fails_the_task(tmp_path: Path) -> None:
    assert adhoc.task(tmp_path, "km_look", files=[{}]).told["msg"] == "{} names no path"


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x")

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(km_look, "sha256", refused)
    with pytest.raises(PermissionError, match=r"Permission denied.*secret"):
        km_look.results([{"path": "secret"}], str(tmp_path), [])


def test_a_large_file_has_one_digest(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "large").write_bytes(content)
    assert sha256(tmp_path / "large") == hashlib.sha256(content).hexdigest()


def test_links_that_go_round_are_told_or_followed_as_far_as_they_go(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    told = adhoc.task(tmp_path, "km_look", files=[str(tmp_path / "a")]).told
    if "results" not in told:
        assert "loop" in told["msg"] and str(tmp_path) in told["msg"]
    else:
        assert told["results"][0]["stat"]["lnk_target"] == "b"
