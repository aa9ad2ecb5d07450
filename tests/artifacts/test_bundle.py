"""The km file is the same bytes from the same inputs, holds what is needed and nothing else."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from kmsched.artifacts import bundle
from kmsched.artifacts.bundle import BundleRefused

ROOT = Path(__file__).resolve().parents[2]


def make_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_package(root: Path) -> Path:
    package = root / "kmsched"
    (package / "cli" / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "cli" / "km.py").write_text("x = 1\n")
    (package / "cli" / "__pycache__" / "km.cpython-311.pyc").write_bytes(b"x")
    return package


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("aiohttp/client.py", True),
        ("aiohttp/_http.cpython-311-x86_64-linux-gnu.so", True),
        ("aiohttp/_http.pyx", False),
        ("aiohttp/_find.c", False),
        ("aiohttp/.hash/x.hash", False),
        ("multidict/_testcapi.cpython-311-x86_64-linux-gnu.so", False),
        ("click/py.typed", False),
        ("charset_normalizer/md.py", True),
        ("charset_normalizer/md.cpython-311-x86_64-linux-gnu.so", False),
        ("81d243bd2c585b0f4821__mypyc.cpython-311-x86_64-linux-gnu.so", False),
        ("pkg/tests/test_a.py", False),
        ("pkg-1.dist-info/METADATA", True),
        ("pkg-1.dist-info/RECORD", False),
        ("pkg-1.dist-info/licenses/LICENSE.txt", True),
        ("pkg-1.data/scripts/run", False),
    ],
)
def test_what_goes_in(name: str, wanted: bool) -> None:
    assert bundle.is_wanted(name) is wanted


def test_wheels_of_several_interpreters_lie_side_by_side(tmp_path: Path) -> None:
    wheels = [
        make_wheel(tmp_path / "a-cp311.whl", {"a/__init__.py": b"", "a/c.cpython-311-x86_64-linux-gnu.so": b"1"}),
        make_wheel(tmp_path / "a-cp312.whl", {"a/__init__.py": b"", "a/c.cpython-312-x86_64-linux-gnu.so": b"2"}),
    ]
    files = bundle.collect(make_package(tmp_path), wheels)
    assert sorted(files) == [
        "a/__init__.py",
        "a/c.cpython-311-x86_64-linux-gnu.so",
        "a/c.cpython-312-x86_64-linux-gnu.so",
        "kmsched/__init__.py",
        "kmsched/cli/km.py",
    ]


def test_metadata_is_cut_to_what_all_wheels_of_a_version_share(tmp_path: Path) -> None:
    head = b"Metadata-Version: 2.4\nName: a\nVersion: 1\n"
    wheels = [
        make_wheel(tmp_path / "1.whl", {"a-1.dist-info/METADATA": head + b"\nwords\n"}),
        make_wheel(tmp_path / "2.whl", {"a-1.dist-info/METADATA": head.replace(b"\n", b"\r\n") + b"\r\nwords\r\n"}),
    ]
    assert bundle.collect(make_package(tmp_path), wheels)["a-1.dist-info/METADATA"] == head


def test_a_source_of_plain_python_is_laid_out_as_its_wheel_would_be(tmp_path: Path) -> None:
    source = tmp_path / "hdfs-1.0.tar.gz"
    files = {"PKG-INFO": b"Name: hdfs\n\nwords\n", "LICENSE": b"MIT", "setup.py": b"boom", "test/test_a.py": b"x"}
    with tarfile.open(source, "w:gz") as archive:
        for name, content in (files | {"hdfs/__init__.py": b"y", "hdfs.egg-info/x.py": b"z"}).items():
            member = tarfile.TarInfo(f"hdfs-1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    collected = bundle.collect(make_package(tmp_path), [source])
    assert {name: content for name, content in collected.items() if not name.startswith("kmsched/")} == {
        "hdfs-1.0.dist-info/METADATA": b"Name: hdfs\n",
        "hdfs-1.0.dist-info/licenses/LICENSE": b"MIT",
        "hdfs/__init__.py": b"y",
    }


def test_requirements_without_wheels_are_asked_for_apart() -> None:
    click, hdfs = "# head\nclick==1 \\\n    --hash=sha256:aa\n", "hdfs==2 \\\n    --hash=sha256:bb\n    # via x\n"
    assert bundle.without_wheels(click + hdfs) == (click, hdfs)


def test_wheels_that_fill_a_file_differently_are_refused(tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path / f"{n}.whl", {"a.py": str(n).encode()}) for n in (1, 2)]
    with pytest.raises(BundleRefused, match=r"2\.whl: a\.py differs"):
        bundle.collect(make_package(tmp_path), wheels)


def test_archive_depends_on_names_and_contents_alone() -> None:
    files = {"b": b"2" * 1000, "a": b"1"}
    before = os.umask(0o077)
    try:
        first = bundle.archive(files, compress=True)
    finally:
        os.umask(before)
    assert first == bundle.archive(dict(reversed(files.items())), compress=True)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        entries = [(entry.filename, entry.date_time, entry.external_attr >> 16) for entry in archive.infolist()]
    assert entries == [("a", bundle.EPOCH, 0o100644), ("b", bundle.EPOCH, 0o100644)]


def test_two_builds_are_the_same_file(tmp_path: Path) -> None:
    outputs = [tmp_path / "one" / "km", tmp_path / "two" / "km"]
    for output in outputs:
        bundle.write(bundle.km_file(bundle.collect(ROOT / "kmsched", [])), output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert outputs[0].stat().st_mode & 0o777 == 0o755
    assert [path.name for path in outputs[0].parent.iterdir()] == ["km"]


def test_markers_are_dropped_and_hashes_kept() -> None:
    locked = (
        "# comment; stays\n"
        "typing-extensions==4.16.0 ; python_full_version < '3.13' \\\n    --hash=sha256:aa\n"
        "yarl==1.25.1 \\\n    --hash=sha256:bb\n    # via aiohttp\n"
    )
    assert bundle.unconditional(locked) == (
        "# comment; stays\n"
        "typing-extensions==4.16.0 \\\n    --hash=sha256:aa\n"
        "yarl==1.25.1 \\\n    --hash=sha256:bb\n    # via aiohttp\n"
    )


def test_the_real_requirements_lose_only_their_markers() -> None:
    locked = (ROOT / "requirements/runtime.txt").read_text()
    plain = bundle.unconditional(locked)
    assert plain.count("--hash=sha256:") == locked.count("--hash=sha256:")
    assert plain.count("==") == locked.count("==")
    assert "python_full_version" not in plain


def test_each_target_asks_for_its_own_tags() -> None:
    options = bundle.Target((3, 13), "aarch64").pip_options()
    assert "--python-version=3.13" in options
    assert "--abi=cp313" in options
    assert "--platform=manylinux_2_17_aarch64" in options


def test_wheels_that_pip_cannot_get_leave_no_cache(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("===\n")
    with pytest.raises(BundleRefused, match="pip finds no wheels for cp311 x86_64"):
        bundle.wheels(requirements, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_wheels_in_the_cache_are_used_without_pip(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("===\n")
    folder = tmp_path / "cache" / bundle.cache_name(requirements.read_text())
    folder.mkdir(parents=True)
    wheel = make_wheel(folder / "a-1.whl", {"a.py": b""})
    assert bundle.wheels(requirements, tmp_path / "cache") == [wheel]
