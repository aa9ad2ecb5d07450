"""A storage in memory with HDFS's rules for renames; a test hangs a function on `before` to act between two calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from kmsched.artifacts.hdfs_checksum import Checksum
from kmsched.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: bytes
    modified_ms: int
    file_id: int
    is_folder: bool = False
    owner: str = "alice"

    @property
    def size_bytes(self) -> int:
        return len(self.content)


class MemoryStorage:
    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.clock_ms = 0
        self.can_replace = True
        self.before: Callable[[str, str], None] = lambda call, path: None
        self._lock = threading.RLock()

    def keep(self, path: str, content: bytes, modified_ms: int | None = None) -> None:
        with self._lock:
            self.clock_ms += 1
            when = self.clock_ms if modified_ms is None else modified_ms
            self.files[path] = File(path.rpartition("/")[2], content, when, self.clock_ms)

    def look(self, path: str) -> File | None:
        self.before("look", path)
        with self._lock:
            return self.files.get(path)

    def entries(self, folder: str) -> list[File]:
        self.before("entries", folder)
        with self._lock:
            inside = {path.removeprefix(f"{folder}/"): file for path, file in self.files.items() if folder in path}
        folders = {name.partition("/")[0] for name in inside if "/" in name}
        found = [file for name, file in inside.items() if "/" not in name and name not in folders]
        return found + [File(name, b"", 0, 0, is_folder=True) for name in sorted(folders)]

    def make_folder(self, folder: str) -> None:
        pass

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        self.before("write", path)
        self.keep(path, b"".join(chunks))

    def read(self, path: str) -> Iterator[bytes]:
        self.before("read", path)
        with self._lock:
            if path not in self.files:
                raise ArtifactError(f"{path} is not there")
            yield self.files[path].content

    def checksum(self, path: str) -> Checksum:
        raise ArtifactError("memory has none")

    def rename(self, source: str, target: str) -> bool:
        self.before("rename", target)
        with self._lock:
            return target not in self.files and self._move(source, target)

    def replace(self, source: str, target: str) -> bool:
        self.before("replace", target)
        with self._lock:
            if source not in self.files:
                raise ArtifactError(f"{source} is not there")
            return (self.can_replace or target not in self.files) and self._move(source, target)

    def _move(self, source: str, target: str) -> bool:
        if source not in self.files:
            return False
        self.files[target] = replace(self.files.pop(source), name=target.rpartition("/")[2])
        return True

    def touch(self, path: str, modified_ms: int) -> None:
        self.files[path] = replace(self.files[path], modified_ms=modified_ms)

    def remove(self, path: str) -> None:
        self.before("remove", path)
        with self._lock:
            self.files.pop(path, None)
