"""The km file: kmsched and its dependencies in one executable; the same inputs give the same bytes.

Knows wheels, archives and their normal form.  It does not know what is inside kmsched, nor where the file is put.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kmsched.artifacts import bootstrap
from kmsched.errors import EXIT_ARTIFACT, Fatal

SHEBANG = b"#!/usr/bin/env python3\n"
MACHINES = ("x86_64", "aarch64")
#: oldest last; a wheel for any of these C libraries runs on Debian 12 and younger
MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux1")
#: 1980-01-01, the first moment that a zip file can tell
EPOCH = (1980, 1, 1, 0, 0, 0)
DOWNLOAD_TIMEOUT_S = 600
#: plain Python that has no wheels; taken from the source as it is, so that no setuptools has a say in the bytes
SOURCE_ONLY = frozenset({"docopt", "hdfs"})
#: of no use at run time
LEFT_OUT_ENDINGS = (".c", ".h", ".pyx", ".pxd", ".pxi", ".pyi", ".hash", ".cpp", ".typed", ".pyc")
LEFT_OUT_PARTS = frozenset({"tests", "test", "__pycache__", ".hash"})
KEPT_METADATA = frozenset({"METADATA"})
#: guesses the encoding of texts, which nobody here asks for; its plain Python stays, its builds are 3 MB
_CHARSETS = re.compile(r"(charset_normalizer/.*|[0-9a-f]{20}__mypyc\.[^/]*)\.so")


class BundleRefused(Fatal):
    """The km file cannot be made."""

    exit_code = EXIT_ARTIFACT


@dataclass(frozen=True, slots=True)
class Target:
    """One interpreter on one machine."""

    python: tuple[int, int]
    machine: str

    @property
    def tag(self) -> str:
        return f"cp{self.python[0]}{self.python[1]}"

    def pip_options(self) -> list[str]:
        return [
            f"--python-version={self.python[0]}.{self.python[1]}",
            "--implementation=cp",
            f"--abi={self.tag}",
            *(f"--platform={libc}_{self.machine}" for libc in MANYLINUX),
        ]


TARGETS = tuple(Target(python, machine) for python in bootstrap.PYTHONS for machine in MACHINES)


def unconditional(requirements: str) -> str:
    """The locked requirements without their markers: pip would judge those by the Python that builds."""
    return re.sub(r"(?m)^([A-Za-z0-9][^;#\n]*?)\s*;[^\\\n]*?(?=( ?\\)?$)", r"\1", requirements)


def without_wheels(requirements: str) -> tuple[str, str]:
    """The locked requirements, those of SOURCE_ONLY apart."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", requirements)
    parts: tuple[list[str], list[str]] = ([], [])
    for entry in entries:
        parts[entry.partition("==")[0] in SOURCE_ONLY].append(entry)
    return "".join(parts[0]), "".join(parts[1])


def wheels(requirements: Path, cache: Path) -> list[Path]:
    """All wheels of all targets, and sources where there are none, fetched once with their hashes checked, and kept
    in `cache`."""
    text = unconditional(requirements.read_text(encoding="utf-8"))
    folder = cache / cache_name(text)
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheels-", dir=cache) as beside:
            into = Path(beside) / "all"
            built, unbuilt = Path(beside) / "wheels.txt", Path(beside) / "sources.txt"
            for path, part in zip((built, unbuilt), without_wheels(text), strict=True):
                path.write_text(part, encoding="utf-8")
            for number, target in enumerate(TARGETS, start=1):
                print(f"km: wheels for {target.tag} {target.machine} ({number}/{len(TARGETS)})", file=sys.stderr)
                what = f"wheels for {target.tag} {target.machine}"
                _download(built, into, ["--only-binary=:all:", *target.pip_options()], what)
            _download(unbuilt, into, ["--no-binary=:all:"], "sources")
            try:
                into.replace(folder)
            except OSError:
                if not folder.is_dir():  # else another build was first
                    raise
    return sorted(path for ending in ("*.whl", "*.tar.gz") for path in folder.glob(ending))


def cache_name(requirements: str) -> str:
    key = hashlib.sha256(repr((requirements, TARGETS, MANYLINUX)).encode()).hexdigest()[:16]
    return f"wheels-{key}"


def _download(requirements: Path, into: Path, options: list[str], what: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", f"--requirement={requirements}", f"--dest={into}"]
    done = subprocess.run(
        command + options,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DOWNLOAD_TIMEOUT_S,
    )
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise BundleRefused(f"pip finds no {what}: {' '.join(last)}")


def is_wanted(name: str) -> bool:
    """Whether a file of a wheel or of our package is needed at run time; licences are always kept."""
    path = PurePosixPath(name)
    folder = path.parts[0]
    if folder.endswith(".dist-info"):
        return path.name in KEPT_METADATA or "licen" in name.lower()
    if folder.endswith(".data"):
        return False
    if path.name.startswith("_testcapi.") or _CHARSETS.fullmatch(name):
        return False
    return path.suffix not in LEFT_OUT_ENDINGS and not LEFT_OUT_PARTS & set(path.parts)


def collect(package: Path, from_wheels: Iterable[Path]) -> dict[str, bytes]:
    """Name -> content of the payload. A file that two wheels fill differently is refused."""
    files: dict[str, bytes] = {}
    for wheel in from_wheels:
        for name, content in _unpacked(wheel):
            if not is_wanted(name):
                continue
            kept = _head(content) if name.endswith("METADATA") else content
            if files.setdefault(name, kept) != kept:
                raise BundleRefused(f"{wheel.name}: {name} differs from that of another wheel; pin other versions")
    for path in package.rglob("*"):
        name = path.relative_to(package.parent).as_posix()
        if path.is_file() and is_wanted(name):
            files[name] = path.read_bytes()
    return files


def _unpacked(package: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a wheel, or of a source under the names that it would have in a wheel."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist() if not name.endswith("/"))
        return
    project = package.name.removesuffix(".tar.gz")
    module = project.rpartition("-")[0]
    with tarfile.open(package) as archive:
        for member in archive:
            file, name = archive.extractfile(member), member.name.partition("/")[2]
            if file is None:
                continue
            if name == "PKG-INFO":
                yield f"{project}.dist-info/METADATA", file.read()
            elif name.startswith("LICEN"):
                yield f"{project}.dist-info/licenses/{name}", file.read()
            elif name == f"{module}.py" or name.startswith(f"{module}/"):
                yield name, file.read()


def _head(metadata: bytes) -> bytes:
    """Name and version: the description differs between wheels in its line ends."""
    lines = metadata.decode("utf-8", "replace").splitlines()
    kept = [line for line in lines if line.startswith(("Metadata-Version:", "Name:", "Version:", "License"))]
    return ("\n".join(kept) + "\n").encode()


def archive(files: Mapping[str, bytes], *, compress: bool) -> bytes:
    """A zip file that depends on names and contents alone: sorted, with fixed times and modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as into:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, whatever builds it
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            into.writestr(entry, files[name], compresslevel=6 if compress else None)
    return buffer.getvalue()


def km_file(files: Mapping[str, bytes]) -> bytes:
    """The whole km file: a small outer archive, quick to open, around the payload."""
    payload = archive(files, compress=True)
    outer = {
        "__main__.py": Path(bootstrap.__file__).read_bytes(),
        "payload.zip": payload,
        "payload.sha256": hashlib.sha256(payload).hexdigest().encode() + b"\n",
    }
    return SHEBANG + archive(outer, compress=False)


def write(content: bytes, output: Path) -> None:
    """Put the file there in one step, executable by all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.chmod(0o755)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bundle", description="Build the km file.")
    parser.add_argument("--output", type=Path, default=Path("bin/km"))
    parser.add_argument("--requirements", type=Path, default=Path("requirements/runtime.txt"))
    default_cache = Path(os.environ.get("KM_CACHE_DIR", "/var/cache/kmsched"))
    parser.add_argument("--cache", type=Path, default=default_cache, help="where wheels are kept")
    options = parser.parse_args(arguments)
    try:
        package = Path(__file__).resolve().parents[1]
        content = km_file(collect(package, wheels(options.requirements, options.cache)))
        write(content, options.output)
    except Fatal as error:
        print(f"km: {error}", file=sys.stderr)
        return error.exit_code
    size = len(content) / (1 << 20)
    print(f"{options.output}: {size:.1f} MiB, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
