"""bin/km as it was built: on every Python that is here, and by its wheels' tags for the others."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from kmsched import __version__
from kmsched.artifacts.bootstrap import PYTHONS
from kmsched.artifacts.bundle import MACHINES
from tests.scenarios import product

TAGGED = re.compile(r"(?P<module>.+)\.cpython-(?P<python>\d+)-(?P<machine>\w+)-linux-gnu\.so")
TAGS = {(f"{major}{minor}", machine) for major, minor in PYTHONS for machine in MACHINES}
START_S = 60
#: what starts with each of the modules that have compiled parts
IMPORTS = "import aiohttp.http_parser, msgspec, yaml, hdfs, kmsched.daemon.main, kmsched.executor.main"


def pythons() -> list[str]:
    """One of each version that km runs on: this one, and those of pyenv where that is installed."""
    found = {sys.version_info[:2]: sys.executable}
    if pyenv := shutil.which("pyenv"):
        listed = subprocess.run([pyenv, "versions", "--bare"], check=True, capture_output=True, text=True).stdout
        for name in listed.split():
            version = tuple(int(part) for part in name.split(".")[:2] if part.isdigit())
            if version in PYTHONS and version not in found:
                prefix = subprocess.run([pyenv, "prefix", name], check=True, capture_output=True, text=True).stdout
                found[version[0], version[1]] = f"{prefix.strip()}/bin/python3"
    return [found[version] for version in sorted(found)]


@pytest.fixture(scope="module")
def payload() -> zipfile.ZipFile:
    with zipfile.ZipFile(product.KM) as outer:
        return zipfile.ZipFile(io.BytesIO(outer.read("payload.zip")))


def test_every_compiled_module_is_there_for_every_python_and_machine(payload: zipfile.ZipFile) -> None:
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for name in payload.namelist():
        if name.endswith(".so"):
            match = TAGGED.fullmatch(name)
            assert match, f"{name} does not tell what it is for"
            found[match["module"]].add((match["python"], match["machine"]))
    assert {module: TAGS - tags for module, tags in found.items() if tags != TAGS} == {}
    assert {module.partition("/")[0] for module in found} >= {"aiohttp", "msgspec", "yaml"}


def test_compiled_modules_are_of_the_machine_that_they_name(payload: zipfile.ZipFile) -> None:
    """ELF's own word."""
    machines = {62: "x86_64", 183: "aarch64"}
    for name in payload.namelist():
        if match := TAGGED.fullmatch(name):
            head = payload.read(name)[:20]
            assert (head[:4], machines[int.from_bytes(head[18:20], "little")]) == (b"\x7fELF", match["machine"]), name


def start(python: str, program: Path, cache: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    # a home of its own: what is unpacked there is used, too
    given = {
        "PATH": f"{Path(python).parent}:/usr/bin:/bin",
        "HOME": str(cache.parent),
        "KM_CACHE": str(cache),
        **environ,
    }
    return subprocess.run(
        [python, program, *words], env=given, check=False, capture_output=True, text=True, timeout=START_S, cwd="/"
    )


@pytest.mark.parametrize("python", pythons(), ids=lambda python: Path(python).parent.parent.name)
def test_it_runs(python: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    said = f"{__version__}\n"
    for name, words, expected in (
        ("km", ["--version"], f"km {said}"),
        ("km-upload", ["--version"], f"km-upload {said}"),
        ("hadoop", ["version"], f"Hadoop client of km {said}"),
        ("hdfs", ["version"], f"Hadoop client of km {said}"),
    ):
        program = tmp_path / name
        program.symlink_to(product.KM)
        done = start(python, program, cache, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(expected)
    [folder] = cache.iterdir()
    tried = subprocess.run(
        [python, "-W", "error", "-c", IMPORTS], env={"PYTHONPATH": str(folder)}, check=False, capture_output=True
    )
    assert (tried.returncode, tried.stderr) == (0, b"")


def test_it_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    """What makes a start slow."""
    for name, word in (("km", "--version"), ("hadoop", "version")):
        program = tmp_path / name
        program.symlink_to(product.KM)
        done = start(sys.executable, program, tmp_path / "cache", word, PYTHONPROFILEIMPORTTIME="1")
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert imported & {"kmsched.cli.km", "kmsched.artifacts.hadoop"}
        assert not imported & {"aiohttp", "asyncio", "requests", "ssl", "yaml"}
    assert "click" not in imported


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    made, sources = [], tmp_path / "sources"  # nobody edits those in between
    for name in ("kmsched", "requirements"):
        shutil.copytree(product.ROOT / name, sources / name)
    for number, umask in (("1", 0o022), ("2", 0o077)):
        output = tmp_path / number / "km"
        command = [sys.executable, "-m", "kmsched.artifacts.bundle", "--output", str(output)]
        environ = {**os.environ, "PYTHONHASHSEED": number, "TZ": f"UTC{number}"}
        subprocess.run(command, check=True, cwd=sources, env=environ, umask=umask, capture_output=True)
        made.append(output.read_bytes())
    assert made[0] == made[1]
