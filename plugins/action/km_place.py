"""The controller's half of `km_place`: brings the contents that the host lacks, and only those.

Contents go as files, and never as arguments of a module, which hosts write into their logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.hashing import secure_hash

Json = dict[str, Any]

SHOWN = 1 << 17
#: how words of another content begin
CONTENT = "sha256 "


def differences(items: list[Json], placed: Mapping[str, list[str]], befores: Mapping[str, str]) -> list[Json]:
    """What --diff shows: lines of texts, and words for all else, such as their owners."""
    shown: list[Json] = []
    for item in items:
        path = item["path"]
        if path not in placed:
            continue
        words = placed[path]
        after = item.get("text") if not item.get("secret") else None
        if path in befores and after is not None and len(after) <= SHOWN:
            shown.append({"before_header": path, "after_header": path, "before": befores[path], "after": after})
            words = [each for each in words if not each.startswith(CONTENT)]
        if words:
            shown.append({"prepared": f"{path}: {', '.join(words)}\n"})
    return shown


def described(item: Json, source: str) -> Json:
    """What the host gets to know of it: no content. `source`: its file on the controller, "" if it has none."""
    kept = {name: value for name, value in item.items() if name not in ("src", "text") and value is not None}
    if item.get("text") is not None:
        kept["sha256"] = hashlib.sha256(item["text"].encode()).hexdigest()
    elif source and not (item.get("sha256") and _is_same(item["src"], source)):
        kept["sha256"] = secure_hash(source, hashlib.sha256)
    return kept


def _is_same(given: str, source: str) -> bool:
    """False: Ansible has found it elsewhere, or has decrypted it, and what is known of `given` does not hold."""
    try:
        return Path(given).samefile(source)
    except OSError:
        return False


class ActionModule(ActionBase):  # type: ignore[misc]
    """What Ansible looks for in this file."""

    _VALID_ARGS = frozenset({"files"})

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        told: Json = super().run(tmp, task_vars)
        items = [dict(item) for item in self._task.args.get("files") or []]
        sources = {item["path"]: self._source(item) for item in items}
        wanted = [described(item, sources[item["path"]]) for item in items]
        first: Json = self._execute_module("km_place", {"files": wanted}, task_vars=task_vars)
        done = first
        lacking = set(first.get("lacking", ()))
        if lacking and not first.get("failed") and not self._task.check_mode:
            done = self._bring(items, sources, wanted, lacking, task_vars)
        if self._task.diff and not done.get("failed"):
            told["diff"] = differences(items, done["placed"], first.get("befores", {}))
        return told | {name: value for name, value in done.items() if name not in ("lacking", "befores")}

    def _source(self, item: Json) -> str:
        """Its file on the controller, "" if it has none."""
        if not item.get("src"):
            return ""
        return str(self._loader.get_real_file(self._find_needle("files", item["src"])))

    def _bring(
        self, items: list[Json], sources: Json, wanted: list[Json], lacking: set[str], task_vars: Json | None
    ) -> Json:
        # without pipelining there is one already, and only one would be removed
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        try:
            brought = []
            for item, told in zip(items, wanted, strict=True):
                digest = told.get("sha256")
                if digest not in lacking:
                    continue
                lacking.remove(digest)
                brought.append(self._connection._shell.join_path(folder, digest))
                if item.get("text") is not None:
                    self._transfer_data(brought[-1], item["text"])
                elif sources[item["path"]]:
                    self._transfer_file(sources[item["path"]], brought[-1])
                else:
                    raise AnsibleError(f"{item['path']}: its content is nowhere: it has neither src nor text")
            self._fixup_perms2([folder, *brought])
            placed: Json = self._execute_module("km_place", {"files": wanted, "brought": folder}, task_vars=task_vars)
            return placed
        finally:
            self._remove_tmp_path(folder)
