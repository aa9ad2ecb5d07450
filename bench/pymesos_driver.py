"""pymesos, the framework library of others, reading the same stream: its own connection and driver, without a socket.

Its HTTP parser does not build on Python 3.11 or newer as it is published: it is generated anew with today's Cython, in
an environment of its own in the build cache.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from testbed.cache import produce
from testbed.errors import LabError

#: the parser as source, and what is needed beside it
PARSER = "http-parser==0.9.0"
PACKAGES = ("pymesos==0.3.15", "addict==2.4.0", "six==1.17.0")
BUILT_WITH = ("cython==3.3.1", "setuptools==80.9.0", "wheel==0.45.1")
NEEDED_MIB = 200
HEAD = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\nMesos-Stream-Id: s-1\r\n\r\n"
)
FRAMEWORK = {"user": "root", "name": "bench"}

Offered = Callable[[list[dict[str, Any]]], None]


def folder(cache: Path) -> Path:
    """Where its packages are. LabError: what kept them from being installed."""
    inputs = {"python": sys.version, "packages": " ".join((PARSER, *PACKAGES, *BUILT_WITH))}
    return produce(cache, "pymesos", inputs, _install, NEEDED_MIB)


def _install(target: Path) -> None:
    tools = target / "tools"
    _run(sys.executable, "-m", "venv", str(tools))
    pip = (str(tools / "bin" / "pip"), "--disable-pip-version-check", "--quiet")
    _run(*pip, "install", *BUILT_WITH)
    sources = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", str(target))
    _run(*pip, "download", *sources, PARSER)
    (archive,) = target.glob("http[-_]parser-*.tar.gz")
    shutil.unpack_archive(archive, target)
    source = next(each for each in target.iterdir() if each.is_dir() and (each / "setup.py").exists())
    _run(str(tools / "bin" / "cython"), "-3", str(source / "http_parser" / "parser.pyx"))
    place = ("--no-deps", "--no-build-isolation", "--target", str(target / "packages"))
    _run(*pip, "install", *place, str(source), *PACKAGES)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")


class Bytes:
    """What its connection has instead of a socket."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._rest = memoryview(HEAD + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks))

    def recv(self, size: int) -> bytes:
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)

    def __bool__(self) -> bool:
        return len(self._rest) > 0


class _Scheduler:
    def __init__(self, offered: Offered) -> None:
        self._offered = offered

    def resourceOffers(self, driver: object, offers: list[dict[str, Any]]) -> None:
        self._offered(offers)


@contextlib.contextmanager
def _listener() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())


def reader(packages: Path) -> Callable[[Sequence[bytes], Offered], None]:
    """Reads the chunks of a subscription; `offered` hears what its scheduler would."""
    sys.path.append(str(packages / "packages"))
    process, scheduler = importlib.import_module("pymesos.process"), importlib.import_module("pymesos.scheduler")

    def read(chunks: Sequence[bytes], offered: Offered) -> None:
        with _listener() as address:
            driver = scheduler.MesosSchedulerDriver(_Scheduler(offered), dict(FRAMEWORK), address)
            driver._started = True
            connection = process.Connection(address, driver)
            connection._sock.close()
            stream = connection._sock = Bytes(chunks)
            while stream and connection.read():
                pass

    return read
