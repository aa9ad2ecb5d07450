#!/usr/bin/python
"""Looks at many files of a host in one go, as `ansible.builtin.stat` and `slurp` in a loop would.

A loop starts a Python on the host for each file, and that is most of the time of a play that changes nothing.
"""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.km_files import sha256

DOCUMENTATION = r"""
module: km_look
short_description: Look at many files in one go
description:
  - What ansible.builtin.stat says of each file in a loop, as far as the roles of kmsched need it, with its SHA-256.
options:
  files:
    description: "Paths, or mappings that name one each, by C(path) or, without it, C(src). They come back as they are."
    type: list
    elements: raw
    required: true
  folder:
    description: Where relative paths begin.
    type: str
    default: ""
  contents:
    description: Paths among them whose content is told, too.
    type: list
    elements: str
    default: []
author:
  - kmsched
"""

RETURN = r"""
results:
  description: >-
    For each file C(item), as it was given, and C(stat) with C(path), C(exists) and, if it does, C(mtime) (seconds);
    C(checksum) (SHA-256) of a regular file; C(lnk_target) and C(lnk_source) of a link, as it is written and with all
    links followed. C(content), in base64, of a regular file that was asked for.
  returned: always
  type: list
  elements: dict
"""


def look(path: Path) -> dict[str, Any]:
    """OSError: it is there and cannot be read."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return {"path": str(path), "exists": False}
    told = {"path": str(path), "exists": True, "mtime": found.st_mtime}
    if stat.S_ISLNK(found.st_mode):
        return {**told, "lnk_target": str(path.readlink()), "lnk_source": str(path.resolve())}
    return {**told, "checksum": sha256(path)} if stat.S_ISREG(found.st_mode) else told


def results(files: list[str | dict[str, Any]], folder: str, contents: list[str]) -> list[dict[str, Any]]:
    """What `RETURN` says. ValueError: a file without a path."""
    told: list[dict[str, Any]] = []
    for item in files:
        name = item if isinstance(item, str) else item.get("path") or item.get("src")
        if not name:
            raise ValueError(f"{item!r} names no path")
        path = Path(folder, name)
        seen = look(path)
        told.append({"item": item, "stat": seen})
        if name in contents and "checksum" in seen:
            told[-1]["content"] = base64.b64encode(path.read_bytes()).decode()
    return told


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "raw", "required": True},
            "folder": {"type": "str", "default": ""},
            "contents": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, results=results(**module.params))
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that go round, up to Python 3.12
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
