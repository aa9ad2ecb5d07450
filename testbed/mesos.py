"""Makes Apache Mesos 1.11 runnable on Debian 12 from the egg mesos.scheduler, which carries all of libmesos.

Knows the binary's oddities (an old curl symbol version, OpenSSL 1.0), nothing of hosts or flags. OpenSSL's functions
are stand-ins that are never called, so this Mesos has no TLS.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zipfile
from pathlib import Path

from testbed import cache, processes
from testbed.errors import LabError
from testbed.settings import DATA

SOURCE = DATA / "mesos"
PRODUCT = "mesos"
REQUIREMENT = "mesos.scheduler==1.11.0"
LIBRARY_SHA256 = "84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c"
SETUPTOOLS = "setuptools<66"
LIBRARY_IN_EGG = "mesos/scheduler/_scheduler.so"
LIBRARY, STARTER = "libmesos.so", "starter"
COMPILER = ("g++", "-std=c++17", "-O1", "-w", "-rdynamic")
STAND_INS = ("mesos-containerizer", "mesos-fetcher")
OPENSSL_VERSIONS = ("OPENSSL_1.0.0", "OPENSSL_1.0.1", "OPENSSL_1.0.2")
#: the library's symbol-version index of libcurl
CURL_VERSION_INDEX = 6
NEEDS_MIB = 600


def build(root: Path) -> Path:
    """Folder with libmesos.so, lib/, starter, mesos-containerizer and mesos-fetcher; about ten seconds."""
    return cache.produce(root, PRODUCT, _inputs(), _make, NEEDS_MIB)


def _inputs() -> dict[str, str | bytes]:
    sources = {file.name: file.read_bytes() for file in sorted(SOURCE.iterdir()) if file.is_file()}
    return {**sources, "egg": REQUIREMENT, "compiler": " ".join(COMPILER), "module": Path(__file__).read_bytes()}


def _make(part: Path) -> None:
    egg = _fetch_egg(part)
    with zipfile.ZipFile(egg) as archive:
        library = archive.read(LIBRARY_IN_EGG)
    egg.unlink()
    found = hashlib.sha256(library).hexdigest()
    if found != LIBRARY_SHA256:
        raise LabError(f"{REQUIREMENT}: its library has SHA-256 {found}, {LIBRARY_SHA256} was expected; do not use it")
    (part / LIBRARY).write_bytes(use_current_curl(library))
    (part / "lib").mkdir()
    undefined = processes.output(["nm", "-D", "--undefined-only", str(part / LIBRARY)])
    for name, versions in openssl_symbols(undefined).items():
        _build_stand_in(part / "lib" / name, versions)
    processes.output([*COMPILER, "-o", str(part / STARTER), str(SOURCE / "starter.cpp"), "-ldl"])
    for program in STAND_INS:
        (part / program).write_bytes((SOURCE / f"{program}.py").read_bytes())
        (part / program).chmod(0o755)


def _fetch_egg(part: Path) -> Path:
    venv = part / "venv"
    processes.output([sys.executable, "-m", "venv", str(venv)])
    python = str(venv / "bin/python")
    processes.output([python, "-m", "pip", "install", "-q", SETUPTOOLS])
    printed = processes.output([python, "-W", "ignore", str(SOURCE / "fetch_egg.py"), REQUIREMENT, str(part)])
    cache.remove_tree(venv)
    return Path(printed.split()[-1])


def elf_hash(name: bytes) -> int:
    """The hash by which ELF version requirements are found."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


def use_current_curl(library: bytes) -> bytes:
    """The library asks for libcurl's symbol version 3; today's libcurl.so.4 has the same functions under 4."""
    old, new = b"CURL_OPENSSL_3", b"CURL_OPENSSL_4"
    patched = bytearray(library.replace(old, new))
    wanted, at = struct.pack("<I", elf_hash(old)), -1
    while (at := patched.find(wanted, at + 1)) >= 0:
        flags, index = struct.unpack_from("<HH", patched, at + 4)
        if (flags, index) == (0, CURL_VERSION_INDEX):
            patched[at : at + 4] = struct.pack("<I", elf_hash(new))
    return bytes(patched)


def openssl_symbols(undefined: str) -> dict[str, dict[str, list[str]]]:
    """Library -> symbol version -> names, from nm's list of undefined symbols."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in undefined.splitlines():
        name, _, version = line.split()[-1].partition("@")
        version = version.lstrip("@")
        if version.startswith("OPENSSL_"):
            kind = "ssl" if name.startswith(("SSL_", "SSLv", "TLSv")) else "crypto"
            found.setdefault(f"lib{kind}.so.1.0.0", {}).setdefault(version, []).append(name)
    return found


def version_script(versions: dict[str, list[str]]) -> str:
    """The linker's version script that gives each name its version."""
    blocks = []
    for version in OPENSSL_VERSIONS:
        names = "".join(f" {name};" for name in sorted(versions.get(version, [])))
        exported = f"global:{names} " if names else ""
        hidden = "local: *; " if version == OPENSSL_VERSIONS[0] else ""
        blocks.append(f"{version} {{ {exported}{hidden}}};\n")
    return "".join(blocks)


def _build_stand_in(target: Path, versions: dict[str, list[str]]) -> None:
    source, script = target.with_suffix(".c"), target.with_suffix(".map")
    names = sorted(name for names in versions.values() for name in names)
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in names))
    script.write_text(version_script(versions))
    linker = [f"-Wl,-soname,{target.name}", f"-Wl,--version-script,{script}"]
    processes.output(["gcc", "-shared", "-fPIC", "-w", "-o", str(target), str(source), *linker])
    source.unlink()
    script.unlink()
