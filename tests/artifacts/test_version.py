"""The version of a km file is read from its archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from kmsched import __version__
from kmsched.artifacts import bundle
from kmsched.artifacts.version import version_of


def test_of_a_km_file(tmp_path: Path) -> None:
    file = tmp_path / "km"
    file.write_bytes(bundle.km_file({"kmsched/__init__.py": f'"""x"""\n\n__version__ = "{__version__}"\n'.encode()}))
    assert version_of(file) == __version__


def zipped(path: Path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.mark.parametrize("payload", [b"", b"no archive", None])
def test_of_others(tmp_path: Path, payload: bytes | None) -> None:
    file = tmp_path / "kubelet"
    file.write_bytes(b"\x7fELF")
    assert version_of(file) == ""
    assert version_of(tmp_path / "nothing") == ""
    zipped(file, {} if payload is None else {"payload.zip": payload})
    assert version_of(file) == ""


def test_of_a_km_file_without_it(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner", {"kmsched/__init__.py": b"x = 1\n"})
    zipped(tmp_path / "km", {"payload.zip": inner})
    assert version_of(tmp_path / "km") == ""
