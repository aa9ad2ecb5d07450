"""What `hadoop fs` changes: -get and -put with their other names, -mkdir, -rm.

Knows that a target is there whole or not at all: everything is written beside it, its length is compared, and one
rename puts it in place.  It does not know options' syntax.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kmsched.artifacts.hadoop_call import Call
from kmsched.artifacts.hadoop_paths import (
    Complaint,
    Item,
    complaint,
    exists,
    is_folder,
    is_no_folder,
    missing,
    status_of,
)
from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.clients.webhdfs import CHUNK_BYTES
from kmsched.clients.webhdfs_answers import HdfsRefusal
from kmsched.errors import ConfigRefused, KmError

COPYING = "._COPYING_"
FOLDER_MODE, FILE_MODE = 0o777, 0o666
MAX_DEPTH = 100


def get(call: Call) -> None:
    typed = call.arguments.pop() if len(call.arguments) > 1 else "."
    target = local_path(typed)
    items = call.expand()
    if items:
        if len(items) > 1 and not target.is_dir():
            raise is_no_folder(typed) if target.exists() else missing(typed)
        if len(items) == 1 and items[0].status is not None:
            _may_be_made(target, typed, call.has("f"))
    for item in items:
        with call.complaining():
            item.there()
            into = target / item.name if target.is_dir() or typed.endswith("/") else target
            _get(call, item, into, 0)


def local_path(typed: str) -> Path:
    """Complaint: it is not on this host."""
    if re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*:/", typed):
        raise complaint(typed, "Is not a local path")
    return Path(re.sub(r"^file:(//[^/]*)?", "", typed) or ".")


def _may_be_made(target: Path, typed: str, overwrite: bool) -> None:
    if target.exists():
        if not target.is_dir() and not overwrite:
            raise exists(typed)
    elif typed.endswith("/") or not target.absolute().parent.exists():
        raise missing(typed, f"file://{target.absolute()}")


def _get(call: Call, item: Item, target: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise complaint(item.shown, f"Folders more than {MAX_DEPTH} deep")
    if not item.is_folder:
        _get_file(item, target, call.has("f"))
        return
    if target.exists() and not target.is_dir():
        raise is_no_folder(str(target))
    target.mkdir(exist_ok=True)
    for child in item.children():
        with call.complaining():
            _get(call, child, target / child.name, depth + 1)


def _get_file(item: Item, target: Path, overwrite: bool) -> None:
    if target.exists() and (target.is_dir() or not overwrite):
        raise exists(str(target))
    descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=COPYING, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in item.hdfs.read(item.path, item.there()):
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE & ~_umask())
            os.fsync(file.fileno())
        Path(beside).replace(target)
    finally:
        Path(beside).unlink(missing_ok=True)


def _umask() -> int:
    """Only by setting it can it be read."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def put(call: Call) -> None:
    typed = call.arguments.pop() if len(call.arguments) > 1 else "."
    [*found] = call.files.expanded(typed)
    if len(found) != 1:
        raise complaint(typed, "Too many matches")
    [target] = found
    if call.arguments == ["-"]:
        _put_file(call, call.stdin, target)
        return
    sources = [(given, local_path(given)) for given in call.arguments]
    if len(sources) > 1 and not target.is_folder:
        raise is_no_folder(target.shown) if target.status else missing(target.shown)
    if not target.is_folder:
        if target.status is not None and not call.has("f"):
            raise exists(target.shown)
        needed = target.path if typed.endswith("/") else target.parent
        if target.status is None and status_of(target.hdfs, needed) is None:
            raise missing(target.shown, target.uri)
    for given, source in sources:
        with call.complaining():
            if not os.path.lexists(source):
                raise missing(given)
            into = _inside(target, source.absolute().name) if target.is_folder or typed.endswith("/") else target
            _put(call, source, into, 0)


def _inside(folder: Item, name: str) -> Item:
    return folder.child(name, status_of(folder.hdfs, posixpath.join(folder.path, name)))


def _put(call: Call, source: Path, target: Item, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise complaint(str(source), f"Folders more than {MAX_DEPTH} deep")
    if not source.is_dir():
        if target.is_folder or (target.status is not None and not call.has("f")):
            raise exists(target.shown)
        if not stat.S_ISREG(source.stat().st_mode):
            raise complaint(str(source), "Is not a regular file")
        with source.open("rb") as file:
            _put_file(call, file, target)
        return
    if target.status is not None and not target.is_folder:
        raise is_no_folder(target.shown)
    if target.status is None:
        target.hdfs.make_folder(target.path, FOLDER_MODE & ~hdfs_umask(call.files.conf))
    for child in sorted(source.iterdir()):
        with call.complaining():
            _put(call, child, _inside(target, child.name), depth + 1)


def _put_file(call: Call, file: BinaryIO, target: Item) -> None:
    """Beside the target first: a writer that dies leaves a short file that HDFS calls complete."""
    conf, hdfs, beside = call.files.conf, target.hdfs, target.path + COPYING
    options = {"permission": f"{FILE_MODE & ~hdfs_umask(conf):o}"}
    if replication := conf.get("dfs.replication"):
        options["replication"] = replication
    sent = _Counted(file)
    try:
        hdfs.write(beside, sent, overwrite=True, **options)
        stored = hdfs.status(beside).length
        if stored != sent.count:
            raise complaint(target.shown, f"{stored} bytes stored, {sent.count} bytes sent; try again")
        hdfs.rename(beside, target.path, overwrite=call.has("f"))
    except BaseException as error:
        with contextlib.suppress(KmError):
            hdfs.remove(beside)
        if isinstance(error, HdfsRefusal) and error.name == "FileAlreadyExistsException":
            raise exists(target.shown) from error
        raise


class _Counted:
    """The file in pieces, and how many bytes they had."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(CHUNK_BYTES):
            self.count += len(piece)
            yield piece


def hdfs_umask(conf: HadoopConf) -> int:
    """ConfigRefused: it is not octal; Hadoop's symbolic form is not known here."""
    given = conf.get("fs.permissions.umask-mode") or "022"
    if not re.fullmatch("[0-7]{1,4}", given):
        raise ConfigRefused(f"fs.permissions.umask-mode={given!r} is not octal, as 022")
    return int(given, 8)


def mkdir(call: Call) -> None:
    mode = FOLDER_MODE & ~hdfs_umask(call.files.conf)
    for item in call.expand():
        with call.complaining():
            if item.status is not None:
                if not item.is_folder:
                    raise is_no_folder(item.shown)
                if not call.has("p"):
                    raise exists(item.shown)
                continue
            if not call.has("p") and status_of(item.hdfs, item.parent) is None:
                raise missing(f"hdfs://{item.authority}{item.parent}")
            if not item.hdfs.make_folder(item.path, mode):
                raise complaint(item.shown, "Input/output error")


def rm(call: Call) -> None:
    interval = call.files.conf.get("fs.trash.interval") or "0"
    if interval != "0" and not call.has("skipTrash"):
        raise Complaint(f"fs.trash.interval={interval}, and this small client has no trash; say -skipTrash to delete")
    for item in _to_remove(call):
        with call.complaining():
            if item.status is None and call.has("f"):
                continue
            if item.there().is_folder and not (call.has("r") or call.has("R")):
                raise is_folder(item.shown)
            if not item.hdfs.remove(item.path, recursive=item.is_folder):
                raise complaint(item.shown, "Input/output error")
            call.line(f"Deleted {item.shown}")


def _to_remove(call: Call) -> list[Item]:
    found: list[Item] = []
    for typed in call.arguments:
        with call.complaining():
            try:
                found += call.files.expanded(typed)
            except Complaint as error:
                if not call.has("f") or str(error) != str(missing(typed)):
                    raise
    return found
