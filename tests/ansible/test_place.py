"""What `km_place` makes of files, folders and links, and its half on the controller: what is brought and shown."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import grp
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.action import km_place as controller
from plugins.modules import km_place
from tests.ansible import adhoc

OWN = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def item(path: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(path), **OWN, **more}


def placed(items: list[dict[str, Any]], *texts: str, folder: Path) -> dict[str, list[str]]:
    """What is put in place where these texts were brought; a second time there is nothing left to do."""
    for text in texts:
        (folder / sha(text)).write_text(text)
    found: dict[str, list[str]] = km_place.run(items, str(folder), is_check=False, is_diff=False)["placed"]
    assert km_place.run(items, "", is_check=False, is_diff=False) == {"changed": False, "placed": {}}
    return found


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    (tmp_path / "brought").mkdir()
    return tmp_path / "brought"


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    there = tmp_path / "a/b"
    return [
        item(there, folder=True),
        item(there / "text", sha256=sha("one\n")),
        item(there / "secret", sha256=sha("hush\n"), secret=True),
        item(there / "program", sha256=sha("#!\n"), mode="0755"),
        item(there / "link", target=str(there / "program")),
    ]


def test_all_is_made_in_one_go(items: list[dict[str, Any]], tmp_path: Path, brought: Path) -> None:
    found = placed(items, "one\n", "hush\n", "#!\n", folder=brought)
    assert found == {each["path"]: ["missing"] for each in items}
    there = tmp_path / "a/b"
    assert (there / "text").read_text() == "one\n" and (there / "link").readlink() == there / "program"
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in (there, *there.iterdir())}
    assert modes == {"b": "0o755", "text": "0o644", "secret": "0o600", "program": "0o755", "link": "0o755"}


@pytest.mark.parametrize(
    ("plant", "name", "words"),
    [
        ("chmod 0666 text", "text", "mode 0666 there, 0644 wanted"),
        ("chmod 0640 secret", "secret", "mode 0640 there, 0600 wanted"),
        ("chmod 0700 .", "", "mode 0700 there, 0755 wanted"),
        ("rm link; ln -s text link", "link", "text there, {}/program wanted"),
        ("rm link", "link", "missing"),
        ("rm text", "text", "missing"),
        ("echo >>text", "text", "sha256 e1fab8e3a85d there, 2c8b08da5ce6 wanted"),
        ("rm secret; ln -s text secret", "secret", "a link there, a file wanted"),
    ],
)
def test_what_is_another_is_told_and_repaired_and_nothing_else(
    items: list[dict[str, Any]], tmp_path: Path, brought: Path, plant: str, name: str, words: str
) -> None:
    texts = "one\n", "hush\n", "#!\n"
    placed(items, *texts, folder=brought)
    there = tmp_path / "a/b"
    subprocess.run(["sh", "-c", plant], check=True, cwd=there)
    before = {path: path.lstat().st_mtime_ns for path in there.iterdir() if path.name != name}
    foreseen = km_place.run(items, "", is_check=True, is_diff=False)
    assert foreseen["changed"] and foreseen["placed"] == {str(there / name): [words.format(there)]}
    assert placed(items, *texts, folder=brought) == foreseen["placed"]
    assert {path: path.lstat().st_mtime_ns for path in there.iterdir() if path.name != name} == before


def test_owner_and_group_are_told_and_repaired(items: list[dict[str, Any]], tmp_path: Path, brought: Path) -> None:
    placed(items, "one\n", "hush\n", "#!\n", folder=brought)
    text = tmp_path / "a/b/text"
    wanted = [{**each, "owner": "daemon", "group": "bin"} for each in items if each["path"] == str(text)]
    [words] = km_place.run(wanted, "", is_check=True, is_diff=False)["placed"].values()
    assert [each.split()[0] for each in words] == ["owner", "group"]
    # only root gives files away, and others are told that they cannot
    with contextlib.nullcontext() if os.getuid() == 0 else pytest.raises(PermissionError):
        placed(wanted, folder=brought)
        assert (text.owner(), text.group()) == ("daemon", "bin")


def test_a_removed_folder_comes_again_with_all_in_it(
    items: list[dict[str, Any]], tmp_path: Path, brought: Path
) -> None:
    placed(items, "one\n", "hush\n", "#!\n", folder=brought)
    subprocess.run(["rm", "-r", tmp_path / "a"], check=True)
    assert len(placed(items, folder=brought)) == len(items)


def test_contents_are_asked_for_before_anything_is_touched(items: list[dict[str, Any]], tmp_path: Path) -> None:
    told = km_place.run(items, "", is_check=False, is_diff=False)
    assert told["lacking"] == sorted([sha("one\n"), sha("hush\n"), sha("#!\n")])
    assert not (tmp_path / "a").exists()


def test_what_is_found_invalid_gets_no_place(tmp_path: Path, brought: Path) -> None:
    (tmp_path / "x").write_text("old")
    wanted = [item(tmp_path / "x", sha256=sha("new"), validate="sh -c 'echo no good; exit 1' %s")]
    with pytest.raises(km_place.Refused, match=r"x: refused by sh .*: no good"):
        placed(wanted, "new", folder=brought)
    assert (tmp_path / "x").read_text() == "old" and len([*tmp_path.iterdir()]) == 2
    asks = f"""sh -c 'test "$(cat {tmp_path}/x %s)" = oldnew' """
    placed([item(tmp_path / "x", sha256=sha("new"), validate=asks)], folder=brought)


def test_another_content_than_was_told_is_refused(tmp_path: Path, brought: Path) -> None:
    (brought / sha("new")).write_text("newer")
    with pytest.raises(km_place.Refused, match="changed on the way"):
        km_place.run([item(tmp_path / "x", sha256=sha("new"))], str(brought), is_check=False, is_diff=False)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("plant", "more", "words"),
    [
        ("mkdir x", {"sha256": sha("new")}, "no file"),
        ("touch x", {"folder": True}, "no folder"),
        ("touch x", {"target": "/"}, "no link"),
        ("true", {"target": "/nowhere/else"}, "/nowhere/else, which it is to name, is not there"),
        ("true", {"owner": "nobody-of-this-name", "folder": True}, "no such user or group"),
    ],
)
def test_what_is_not_ours_stays(tmp_path: Path, brought: Path, plant: str, more: dict[str, Any], words: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    subprocess.run(["sh", "-c", plant], check=True, cwd=here)
    before = [(each, each.lstat().st_mtime_ns) for each in here.rglob("*")]
    with pytest.raises(km_place.Refused, match=words):
        placed([item(here / "x", **more)], "new", folder=brought)
    assert [(each, each.lstat().st_mtime_ns) for each in here.rglob("*")] == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mode": "u=rwx", "folder": True}, "x: mode 'u=rwx' is not in octal digits"),
        ({"mode": 0o644, "sha256": sha("x")}, "x: mode 420 is not in octal digits, in quotes"),
        ({}, "x is neither a file, a link nor a folder: give it one of src, text, target and folder: true"),
        ({"sha256": ""}, "x is neither"),
        ({"target": "", "folder": False}, "x is neither"),
        ({"sha256": sha("x"), "folder": True}, "x is a file and a folder: give it one of"),
        ({"sha256": sha("x"), "target": "/"}, "x is a file and a link: give it one of"),
        ({"secret": True, "folder": True}, "x: secret and validate are for files; give src or text"),
        ({"validate": "true %s", "target": "/"}, "x: secret and validate are for files; give src or text"),
    ],
)
@pytest.mark.parametrize("is_check", [True, False])
def test_what_would_be_made_something_else_is_refused_by_name(
    tmp_path: Path, more: dict[str, Any], words: str, is_check: bool
) -> None:
    with pytest.raises(km_place.Refused, match=words):
        km_place.run(
            [item(tmp_path / "y", folder=True), item(tmp_path / "x", **more)], "", is_check=is_check, is_diff=False
        )
    assert not list(tmp_path.iterdir())


def killed(arguments: str, when: str) -> None:
    """A process that calls `km_place` and gets SIGKILL at this call of Path."""
    script = f"""
import os, signal
from pathlib import Path
import tests.ansible.conftest
from plugins.modules import km_place
Path.{when} = lambda *more: os.kill(os.getpid(), signal.SIGKILL)
km_place.run({arguments}, is_check=False, is_diff=False)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=adhoc.ROOT)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(tmp_path: Path, brought: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (brought / sha("new")).write_text("new")
    wanted = [item(here / "x", sha256=sha("new"))]
    killed(f"{wanted}, {str(brought)!r}", "replace")
    [left] = here.iterdir()
    assert left.name.startswith(".km-x.")
    others = {".km-x", ".km-x.short", ".km-x.conf.abcdefgh", ".km-other.abcdefgh", "x.abcdefgh"}
    for name in others:
        (here / name).touch()
    (here / ".km-x.a_folder").mkdir()
    (here / ".km-x.the_link").symlink_to(here / "x.abcdefgh")
    with (here / ".km-x.at__work").open("wb") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        placed(wanted, folder=brought)
    assert {each.name for each in here.iterdir()} == {
        "x",
        ".km-x.a_folder",
        ".km-x.the_link",
        ".km-x.at__work",
    } | others


def test_a_link_that_a_killed_run_has_left_is_removed_and_no_file_of_its_name(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    wanted = [item(here / "x", target="/")]
    killed(f"{wanted}, ''", "replace")
    assert [each.name for each in here.iterdir()] == [".km-x.link"]
    placed(wanted, folder=tmp_path)
    assert [each.name for each in here.iterdir()] == ["x"]
    (here / "x").unlink()
    (here / ".km-x.link").touch()
    with pytest.raises(FileExistsError):
        placed(wanted, folder=tmp_path)
    assert [each.name for each in here.iterdir()] == [".km-x.link"]


def test_as_a_task_it_brings_what_is_lacking_and_logs_no_content(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (tmp_path / "source").write_text("hush of a file")
    files = [
        item(there, folder=True),
        item(there / "text", text="hush of a text"),
        item(there / "twin", text="hush of a text"),
        item(there / "copy", src=str(tmp_path / "source"), secret=True),
    ]
    paths = [each["path"] for each in files]
    foreseen = adhoc.task(tmp_path, "km_place", "--check", files=files)
    assert foreseen.told["changed"] and set(foreseen.told["placed"]) == set(paths)
    assert not there.exists()

    done = adhoc.task(tmp_path, "km_place", "-vvv", files=files)
    assert done.told["placed"] == {path: ["missing"] for path in paths}
    assert {path.name: path.read_text().removeprefix("hush of a ") for path in there.iterdir()} == {
        "text": "text",
        "twin": "text",
        "copy": "file",
    }
    # all that the host has heard of a file, and has written down, but its content
    assert f"'path': '{there}/text'" in done.log and sha("hush of a text") in done.log
    assert "hush" not in done.log and "hush" not in done.output
    assert done.left == [], "contents stay in no temporary folder"

    again = adhoc.task(tmp_path, "km_place", files=files).told
    assert again["changed"] is False and again["placed"] == {}


def test_as_a_task_it_shows_lines_of_texts_and_none_of_secrets(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("two\n")
    (tmp_path / "text").chmod(0o600)
    (tmp_path / "secret").write_text("old hush\n")
    files = [item(tmp_path / "text", text="one\n"), item(tmp_path / "secret", text="hush\n", secret=True)]
    done = adhoc.task(tmp_path, "km_place", "--check", "--diff", files=files)
    assert "-two\n+one\n" in done.output and f"{tmp_path}/text: mode 0600 there, 0644 wanted\n" in done.output
    assert f"{tmp_path}/secret: sha256 " in done.output and "hush" not in done.output + done.log
    assert (tmp_path / "text").read_text() == "two\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sha256": sha("x")}, "its content is nowhere: it has neither src nor text"),
        ({"src": ""}, "x is neither a file, a link nor a folder: give it one of src, text"),
        ({"text": None}, "x is neither a file, a link nor a folder"),
        ({"mode": "0644"}, "x is neither a file, a link nor a folder"),
        ({"src": "/nowhere/x"}, "/nowhere/x"),
        ({"text": "x", "mode": 0o644}, "mode 420 is not in octal digits, in quotes, such as '0644'"),
    ],
)
def test_as_a_task_it_fails_for_what_cannot_be_and_puts_nothing_there(
    tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    done = adhoc.task(
        tmp_path, "km_place", files=[item(tmp_path / "there", folder=True), item(tmp_path / "there/x", **more)]
    )
    assert words in done.told["msg"] and "changed" in done.told and not done.told["changed"]
    assert not (tmp_path / "there").exists() and done.left == []


def test_differences_show_texts_and_never_secrets(items: list[dict[str, Any]], tmp_path: Path, brought: Path) -> None:
    placed(items, "one\n", "hush\n", "#!\n", folder=brought)
    there = tmp_path / "a/b"
    (there / "text").write_text("two\n")
    (there / "secret").write_text("old secret\n")
    told = km_place.run(items, "", is_check=False, is_diff=True)
    assert told["befores"] == {str(there / "text"): "two\n", str(there / "secret"): ""}
    texts = {"text": "one\n", "secret": "hush\n"}
    given = [{**each, "text": texts.get(Path(each["path"]).name)} for each in items]
    shown = controller.differences(given, told["placed"], told["befores"])
    assert [shown[0][side] for side in ("before", "after")] == ["two\n", "one\n"]
    assert "hush" not in str(shown) and "old secret" not in str(shown)
    assert shown[1]["prepared"].startswith(f"{there}/secret: sha256 ")
    both = {str(there / "text"): ["sha256 1 there, 2 wanted", "mode 0600 there, 0644 wanted"]}
    lines, words = controller.differences(given, both, told["befores"])
    assert lines["after"] == "one\n" and words["prepared"] == f"{there}/text: mode 0600 there, 0644 wanted\n"


def test_the_host_is_told_of_no_content_and_of_the_digest_of_what_is_brought(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("encrypted")
    (tmp_path / "decrypted").write_text("hush")
    source = str(tmp_path / "given")
    known = {"path": "/x", "src": source, "sha256": sha("encrypted"), "mode": None}
    assert controller.described(known, source) == {"path": "/x", "sha256": sha("encrypted")}
    assert controller.described(known, str(tmp_path / "decrypted")) == {"path": "/x", "sha256": sha("hush")}
    assert controller.described({"path": "/x", "src": "given"}, source) == {"path": "/x", "sha256": sha("encrypted")}
    assert controller.described({"path": "/x", "text": "hush"}, "") == {"path": "/x", "sha256": sha("hush")}
    assert controller.described({"path": "/x"}, "") == {"path": "/x"}
