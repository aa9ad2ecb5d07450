#!/usr/bin/python
"""Puts many files, folders and links in their places in one go, as `ansible.builtin.copy` and `file` in loops would.

Each of those starts a Python on the host for each file, `copy` two. Contents are no arguments: the action plugin of
this name asks for those that are lacking, brings them, and calls again.
"""

from __future__ import annotations

import fcntl
import glob
import grp
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.km_files import sha256

DOCUMENTATION = r"""
module: km_place
short_description: Put many files, folders and links in their places in one go
description:
  - Makes each of them what it shall be, in their order, and says what was another. Contents, owners, groups and modes.
  - A file gets its place as a whole, after it was found to be valid.
options:
  files:
    description: >-
      What shall be there: a file (C(src) or C(text)), a link (C(target)) or a folder (C(folder)), and just one of them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where, from the root on.
        type: str
        required: true
      src:
        description: A file on the controller whose content it has.
        type: str
      text:
        description: Its content.
        type: str
      sha256:
        description: The SHA-256 of its content, if it is known already; another content is refused.
        type: str
      target:
        description: What it is a link to.
        type: str
      folder:
        description: Whether it is a folder, which is made with those above it.
        type: bool
        default: false
      owner:
        description: The user that owns it.
        type: str
        default: root
      group:
        description: Its group.
        type: str
        default: root
      mode:
        description: >-
          Its permissions in octal digits, in quotes; C(0755) for a folder, C(0600) for a file that is secret and
          C(0644) for others unless given.
        type: raw
      secret:
        description: Whether its content is never shown.
        type: bool
        default: false
      validate:
        description: A command that says by its exit code whether the new content, a file at C(%s), may be put in place.
        type: str
  brought:
    description: Not for tasks. A folder of the host with contents, each named by its SHA-256.
    type: str
    default: ""
author:
  - kmsched
"""

RETURN = r"""
placed:
  description: What was not as it shall be, or would not be in check mode; words for each path.
  returned: always
  type: dict
lacking:
  description: Not for tasks. Contents that must be brought, by SHA-256, before anything is done.
  returned: when there are any
  type: list
  elements: str
befores:
  description: Not for tasks. With --diff, what is to be shown of contents that are another, by path.
  returned: when there are any
  type: dict
"""

PIECE = 1 << 20
SHOWN = 1 << 17
VALIDATION_S = 120
DIGITS = 12
MODE = re.compile("[0-7]{3,4}")
#: each character that mkstemp adds, eight times
RANDOM = "[a-z0-9_]"
#: by what the host is told of each
KINDS = {"a file": "sha256", "a link": "target", "a folder": "folder"}
MISSING, A_LINK, CONTENT = "missing", "a link there, a file wanted", "sha256 "
Json = dict[str, Any]
OPTIONS: dict[str, Json] = {
    "path": {"type": "str", "required": True},
    **{name: {"type": "bool", "default": False} for name in ("folder", "secret")},
    **{name: {"type": "str", "default": "root"} for name in ("owner", "group")},
    **{name: {"type": "str"} for name in ("src", "sha256", "target", "validate")},
    # as it was written: YAML reads 0644 as 420
    "mode": {"type": "raw"},
    "text": {"type": "str", "no_log": True},
}


class Refused(Exception):
    """Words for people; nothing was put in this place."""


def is_link(item: Json) -> bool:
    return bool(item.get("target"))


def is_file(item: Json) -> bool:
    return bool(item.get("sha256"))


def mode_of(item: Json) -> int:
    usual = "0755" if not is_file(item) else "0600" if item.get("secret") else "0644"
    mode = item.get("mode") or usual
    if not isinstance(mode, str) or not MODE.fullmatch(mode):
        raise Refused(f"{item['path']}: mode {mode!r} is not in octal digits, in quotes, such as '0644'")
    return int(mode, 8)


def refuse(item: Json) -> None:
    """What would be made something else than was meant."""
    kinds = [kind for kind, name in KINDS.items() if item.get(name)]
    if len(kinds) != 1:
        what = " and ".join(kinds) if kinds else "neither a file, a link nor a folder"
        raise Refused(f"{item['path']} is {what}: give it one of src, text, target and folder: true, and no empty one")
    if not is_file(item) and (item.get("secret") or item.get("validate")):
        raise Refused(f"{item['path']}: secret and validate are for files; give src or text, too")
    if not is_link(item):
        mode_of(item)


def differences(item: Json) -> list[str]:
    """Words for each thing that is not as it shall be. Refused: what is there is not ours to remove."""
    path = Path(item["path"])
    found = _stat(path, follows=not (is_link(item) or is_file(item)))
    if is_link(item):
        if found is None:
            return [MISSING]
        if not stat.S_ISLNK(found.st_mode):
            raise Refused(f"{path} is there and no link: move it away")
        there = str(path.readlink())
        return [] if there == item["target"] else [f"{there} there, {item['target']} wanted"]
    if found is None:
        return [MISSING]
    if is_file(item):
        if stat.S_ISLNK(found.st_mode):
            return [A_LINK]
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is there and no file: move it away")
        there, wanted = sha256(path), item["sha256"]
        words = [] if there == wanted else [f"{CONTENT}{there[:DIGITS]} there, {wanted[:DIGITS]} wanted"]
        return [*words, *_attributes(item, found)]
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{path} is there and no folder: move it away")
    return _attributes(item, found)


def _stat(path: Path, follows: bool) -> os.stat_result | None:
    try:
        return path.stat() if follows else path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _attributes(item: Json, found: os.stat_result) -> list[str]:
    pairs = [
        ("owner", _name(pwd.getpwuid, found.st_uid), item.get("owner") or "root"),
        ("group", _name(grp.getgrgid, found.st_gid), item.get("group") or "root"),
        ("mode", f"{stat.S_IMODE(found.st_mode):04o}", f"{mode_of(item):04o}"),
    ]
    return [f"{what} {there} there, {wanted} wanted" for what, there, wanted in pairs if there != wanted]


def _name(ask: Callable[[int], Any], number: int) -> str:
    try:
        return str(ask(number)[0])
    except KeyError:
        return str(number)


def lacks_content(item: Json, words: list[str]) -> bool:
    """Whether it must be brought; `words`: its differences."""
    return is_file(item) and any(each in (MISSING, A_LINK) or each.startswith(CONTENT) for each in words)


def place(item: Json, words: list[str], brought: str) -> None:
    """Makes it what it shall be; `words`: its differences. Refused: it cannot be."""
    path = Path(item["path"])
    if is_link(item):
        _link(path, item["target"])
    elif is_file(item):
        if lacks_content(item, words):
            _replace(item, Path(brought, item["sha256"]))
        _own(path, item)
    else:
        # refused before anything is made
        _numbers(path, item)
        for folder in _missing(path):
            folder.mkdir()
            _own(folder, item)
        _own(path, item)


def _missing(path: Path) -> Iterator[Path]:
    if not path.exists():
        yield from _missing(path.parent)
        yield path


def _link(path: Path, target: str) -> None:
    if not Path(path.parent, target).exists():
        raise Refused(f"{path}: {target}, which it is to name, is not there")
    made = path.with_name(f".km-{path.name}.link")
    if made.is_symlink():
        made.unlink()  # a run that was killed has left it
    made.symlink_to(target)
    made.replace(path)


def _replace(item: Json, source: Path) -> None:
    path = Path(item["path"])
    if sha256(source) != item["sha256"]:
        raise Refused(f"{path}: its content has changed on the way; run it again")
    if item.get("validate"):
        _validate(item["validate"], source, path)
    prefix = f".km-{path.name}."
    _sweep(path.parent, prefix)
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    try:
        with os.fdopen(descriptor, "wb") as file, source.open("rb") as content:
            fcntl.flock(file, fcntl.LOCK_EX)
            shutil.copyfileobj(content, file, PIECE)
            file.flush()
            os.fsync(file.fileno())
            _own(Path(made), item)
            Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _sweep(folder: Path, prefix: str) -> None:
    """Removes what a run that was killed has left there; one that is still at work holds a lock."""
    for left in folder.glob(f"{glob.escape(prefix)}{8 * RANDOM}"):
        if left.is_symlink() or not left.is_file():
            continue
        with left.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            left.unlink(missing_ok=True)


def _validate(command: str, source: Path, path: Path) -> None:
    argv = [word.replace("%s", str(source)) for word in shlex.split(command)]
    done = subprocess.run(
        argv,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=VALIDATION_S,
    )
    if done.returncode:
        raise Refused(f"{path}: refused by {command}: {done.stdout.strip()}")


def _numbers(path: Path, item: Json) -> tuple[int, int]:
    """Of its owner and its group."""
    try:
        return pwd.getpwnam(item.get("owner") or "root")[2], grp.getgrnam(item.get("group") or "root")[2]
    except KeyError as error:
        raise Refused(f"{path}: no such user or group: {error}") from error


def _own(path: Path, item: Json) -> None:
    owner, group = _numbers(path, item)
    found = path.stat()
    if (found.st_uid, found.st_gid) != (owner, group):
        os.chown(path, owner, group)
    if stat.S_IMODE(path.stat().st_mode) != mode_of(item):
        path.chmod(mode_of(item))


def before(item: Json) -> str:
    """What is to be shown of the content that is there."""
    path = Path(item["path"])
    if item.get("secret") or path.is_symlink() or not path.is_file() or path.stat().st_size > SHOWN:
        return ""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def run(items: list[Json], brought: str, is_check: bool, is_diff: bool) -> Json:
    """What `RETURN` says. Refused or OSError: it cannot be; places before this one have what they shall have."""
    if not brought:
        # all of it, before the first change
        for item in items:
            refuse(item)
        placed = {item["path"]: words for item in items if (words := differences(item))}
        wanted = [item for item in items if lacks_content(item, placed.get(item["path"], []))]
        told: Json = {"changed": bool(placed), "placed": placed}
        if wanted:
            told["lacking"] = sorted({item["sha256"] for item in wanted})
            if is_diff:
                told["befores"] = {item["path"]: before(item) for item in wanted}
        if wanted or is_check:
            return told
    placed = {}
    for item in items:
        if words := differences(item):
            place(item, words, brought)
            placed[item["path"]] = words
    return {"changed": bool(placed), "placed": placed}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
            "brought": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        told = run(module.params["files"], module.params["brought"], module.check_mode, module._diff)
    except (Refused, OSError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**told)


if __name__ == "__main__":
    main()
