"""The runc of machines that cannot hold containers to limits: it has none to set, and passes all else on as it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testbed.probe import DROP_LIMITS
from testbed.settings import DATA

#: as containerd calls it
GLOBALS = ("--root", "/run/containerd/runc/k8s.io", "--log", "/l/log.json", "--systemd-cgroup")


@pytest.fixture
def runc(tmp_path: Path) -> Path:
    """Beside a runc that notes what it gets."""
    real, helper, wrapper = tmp_path / "real", tmp_path / "drop-limits.pl", tmp_path / "runc"
    real.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/given\nexit 7\n')
    helper.write_text((DATA / "host/drop-limits.pl").read_text())
    text = (DATA / "host/runc-nolimits.sh").read_text()
    assert "/usr/sbin/runc" in text and DROP_LIMITS in text
    wrapper.write_text(text.replace("/usr/sbin/runc", str(real)).replace(DROP_LIMITS, str(helper)))
    for each in (real, wrapper):
        each.chmod(0o755)
    return wrapper


def given(runc: Path, *arguments: str) -> tuple[int, list[str]]:
    code = subprocess.run([runc, *arguments], check=False, timeout=30).returncode
    note = runc.parent / "given"
    return code, note.read_text().splitlines() if note.exists() else []


@pytest.mark.parametrize("words", [("state", "id"), ("start", "id"), ("delete", "--force", "id"), ("kill", "id", "15")])
def test_what_sets_no_limits_is_passed_on(runc: Path, words: tuple[str, ...]) -> None:
    arguments = [*GLOBALS, *words]
    assert given(runc, *arguments) == (7, arguments)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_bundle_loses_its_limits_and_nothing_else(
    runc: Path, tmp_path: Path, verb: str, separators: tuple[str, str]
) -> None:
    devices = [{"allow": False, "access": "rwm"}]
    # words of others that look like what is looked for, at both sides of it
    args = ["{", '"resources":{"devices":[]}', "\\", "ä€", '\\"']
    limits = {"cpu": {"cpus": "0}"}, "memory": {"limit": 1}, "devices": devices, "unified": {"a": '"{'}}
    linux = {"cgroupsPath": "p", "resources": limits, "namespaces": [{"type": "pid"}]}
    config = {"process": {"args": args}, "linux": linux, "annotations": {"resources": "]}"}}
    (tmp_path / "config.json").write_text(json.dumps(config, ensure_ascii=False, separators=separators))
    arguments = [*GLOBALS, verb, "--bundle", str(tmp_path), "--pid-file", "/p", "id of a container"]
    assert given(runc, *arguments) == (7, arguments)
    wanted = {**config, "linux": {**linux, "resources": {"devices": devices}}}
    assert json.loads((tmp_path / "config.json").read_text()) == wanted


def test_limits_are_not_changed_later_either(runc: Path) -> None:
    assert given(runc, *GLOBALS, "update", "--resources", "-", "id") == (0, [])


def test_a_bundle_that_cannot_be_read_is_told(runc: Path, tmp_path: Path) -> None:
    code, passed_on = given(runc, *GLOBALS, "create", "--bundle", str(tmp_path / "missing"), "id")
    assert (code, passed_on) == (2, [])
