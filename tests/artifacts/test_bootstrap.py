"""A km file runs from anywhere, unpacks once, and heals what is broken. click comes from this interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import click
import pytest

from kmsched import __version__
from kmsched.artifacts import bootstrap, bundle

ROOT = Path(__file__).resolve().parents[2]
OWN = f"fast{EXTENSION_SUFFIXES[0]}"
FOREIGN = ("fast.cpython-39-x86_64-linux-gnu.so", "fast.cpython-311-sparc-linux-gnu.so")
SAID = f"km {__version__}\n"


@pytest.fixture(scope="module")
def km(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = bundle.collect(ROOT / "kmsched", [])
    package = Path(click.__file__).parent
    files |= {f"click/{path.name}": path.read_bytes() for path in package.glob("*.py")}
    files |= {f"extended/{name}": b"" for name in (OWN, *FOREIGN, "any.abi3.so")}
    output = tmp_path_factory.mktemp("km") / "km"
    bundle.write(bundle.km_file(files), output)
    return output


def run(km: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The km file with nothing else in its environment."""
    command = [sys.executable, str(km), "--version"]
    return subprocess.run(command, env=environ, check=False, capture_output=True, text=True, cwd="/")


def folders(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_it_is_executable_by_any_python3(km: Path) -> None:
    assert km.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert km.stat().st_mode & 0o111 == 0o111


def test_it_unpacks_once_under_the_payloads_sha256(km: Path, tmp_path: Path) -> None:
    assert run(km, KM_CACHE=str(tmp_path)).stdout == SAID
    [folder] = folders(tmp_path)
    with zipfile.ZipFile(km) as archive:
        assert archive.read("payload.sha256").decode().strip() in folder.name
    written = (folder / bootstrap.MANIFEST).stat().st_mtime_ns
    assert run(km, KM_CACHE=str(tmp_path)).stdout == SAID
    assert folders(tmp_path) == [folder]
    assert (folder / bootstrap.MANIFEST).stat().st_mtime_ns == written


def test_only_this_interpreters_extension_modules_are_unpacked(km: Path, tmp_path: Path) -> None:
    run(km, KM_CACHE=str(tmp_path))
    [folder] = folders(tmp_path)
    assert sorted(path.name for path in (folder / "extended").iterdir()) == ["any.abi3.so", OWN]


@pytest.mark.parametrize("name", ["MESOS_SANDBOX", "MESOS_DIRECTORY", "XDG_CACHE_HOME", "HOME"])
def test_where_it_unpacks(name: str, km: Path, tmp_path: Path) -> None:
    assert run(km, **{name: str(tmp_path)}).stdout == SAID
    assert list(tmp_path.rglob("km-*/kmsched/cli/km.py"))


def test_no_environment_at_all_still_has_a_place() -> None:
    assert bootstrap.caches({})[-1].startswith("/var/tmp/km-")


def test_a_cache_that_cannot_be_written_is_passed_over(km: Path, tmp_path: Path) -> None:
    done = run(km, KM_CACHE="/proc/none", MESOS_SANDBOX=str(tmp_path))
    assert (done.stdout, done.stderr) == (SAID, "")
    assert len(folders(tmp_path)) == 1


def test_lost_and_cut_files_are_unpacked_again(km: Path, tmp_path: Path) -> None:
    run(km, KM_CACHE=str(tmp_path))
    [folder] = folders(tmp_path)
    (folder / "kmsched/cli/km.py").unlink()
    assert run(km, KM_CACHE=str(tmp_path)).stdout == SAID
    (folder / "click/__init__.py").write_text("")
    assert run(km, KM_CACHE=str(tmp_path)).stdout == SAID
    assert folders(tmp_path) == [folder]


def test_a_folder_that_others_can_write_to_is_replaced(km: Path, tmp_path: Path) -> None:
    run(km, KM_CACHE=str(tmp_path))
    [folder] = folders(tmp_path)
    folder.chmod(0o777)
    assert run(km, KM_CACHE=str(tmp_path)).stdout == SAID
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_cache_in_which_others_can_move_folders_is_passed_over(km: Path, tmp_path: Path) -> None:
    loose, own = tmp_path / "loose", tmp_path / "own"
    loose.mkdir()
    loose.chmod(0o777)
    assert run(km, KM_CACHE=str(loose), HOME=str(own)).stdout == SAID
    assert list(own.rglob("km-*/kmsched"))
    loose.chmod(0o1777)
    assert run(km, KM_CACHE=str(loose)).stdout == SAID


def test_first_runs_at_the_same_time_agree(km: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(km), "--version"]
    running = [
        subprocess.Popen(command, env={"KM_CACHE": str(tmp_path)}, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate()[0] for process in running] == [SAID] * 4
    assert len(folders(tmp_path)) == 1


@pytest.mark.parametrize(("name", "place"), [("hadoop", os.symlink), ("hdfs", shutil.copy)])
def test_its_own_name_is_the_program(
    name: str, place: Callable[[Path, Path], object], km: Path, tmp_path: Path
) -> None:
    called = tmp_path / name
    place(km, called)
    done = subprocess.run(
        [called, "version"],
        env={"KM_CACHE": str(tmp_path / "cache"), "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
    )
    assert done.stdout.startswith(b"Hadoop client of km ")


def test_a_damaged_file_is_refused(km: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "km"
    with zipfile.ZipFile(km) as archive:
        outer = {name: archive.read(name) for name in archive.namelist()}
    outer["payload.zip"] = outer["payload.zip"][:-1] + b"x"
    bundle.write(bundle.SHEBANG + bundle.archive(outer, compress=False), damaged)
    done = run(damaged, KM_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 20
    assert done.stderr.startswith(f"km: {damaged} is damaged")
    assert done.stderr.count("\n") == 1
