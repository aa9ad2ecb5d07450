"""What `hadoop fs` shows of HDFS without changing it: -ls, -cat, -test, -stat, -du.

Knows the columns and words of Hadoop's own client, byte for byte.  It does not know options' syntax.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from kmsched.artifacts.hadoop_call import Call
from kmsched.artifacts.hadoop_paths import Item, Misuse, is_folder
from kmsched.clients.webhdfs_answers import Status

_UNITS = ("", "K", "M", "G", "T", "P", "E")


def ls(call: Call) -> None:
    call.arguments = call.arguments or ["."]
    widths = Widths(call.has("h"))
    items = call.expand()
    for item in items:
        with call.complaining():
            if item.there().is_folder and not call.has("d"):
                _list(call, widths, item)
            else:
                _rows(call, widths, [item])


def _list(call: Call, widths: Widths, folder: Item) -> None:
    items = folder.children()
    if items and not call.has("R") and not call.has("C"):
        call.line(f"Found {len(items)} items")
    if not call.has("R"):
        items = _sorted(call, items)
    widths.widen(items)
    for item in items:
        _rows(call, widths, [item], widen=False)
        if call.has("R") and item.is_folder:
            with call.complaining():
                _list(call, widths, item)


def _sorted(call: Call, items: list[Item]) -> list[Item]:
    """By time (-t), size (-S) or name, the other way round with -r."""
    found, back = [(item.there(), item) for item in items], call.has("r")
    if call.has("t"):
        found.sort(key=lambda each: each[0].accessed_ms if call.has("u") else each[0].modified_ms, reverse=not back)
    elif call.has("S"):
        found.sort(key=lambda each: each[0].length, reverse=not back)
    else:
        found.sort(key=lambda each: each[1].path, reverse=back)
    return [item for _, item in found]


def _rows(call: Call, widths: Widths, items: list[Item], *, widen: bool = True) -> None:
    if widen:
        widths.widen(items)
    for item in items:
        line = item.shown if call.has("C") else widths.row(item, at_access=call.has("u"))
        call.line("".join(char if char.isprintable() else "?" for char in line) if call.has("q") else line)


class Widths:
    """Columns only ever grow during one command."""

    def __init__(self, human: bool) -> None:
        self._human = human
        self._replication, self._owner, self._group, self._length = 3, 0, 0, 10

    def widen(self, items: list[Item]) -> None:
        for status in (item.there() for item in items):
            self._replication = max(self._replication, len(str(status.replication)))
            self._owner = max(self._owner, len(status.owner))
            self._group = max(self._group, len(status.group))
            self._length = max(self._length, len(str(status.length)))

    def row(self, item: Item, *, at_access: bool) -> str:
        status = item.there()
        when = datetime.fromtimestamp((status.accessed_ms if at_access else status.modified_ms) // 1000)  # local time
        replication = "-" if status.is_folder else str(status.replication)
        size = human(status.length) if self._human else str(status.length)
        parts = [
            f"{rights(status)}{'+' if status.has_acl else ' '}{replication:>{self._replication}}",
            f"{status.owner:<{self._owner}}",
            f"{status.group:<{self._group}}",
            f"{size:>{self._length}}",
            f"{when:%Y-%m-%d %H:%M}",
            item.shown,
        ]
        return " ".join(part for part in parts if part)


def rights(status: Status) -> str:
    """As `drwxr-xr-t`."""
    bits = "".join(letter if status.permission >> (8 - at) & 1 else "-" for at, letter in enumerate("rwxrwxrwx"))
    if status.permission & 0o1000:
        bits = bits[:-1] + ("t" if bits[-1] == "x" else "T")
    return ("d" if status.is_folder else "-") + bits


def human(size: int) -> str:
    """As `1.5 K`."""
    power = 0
    while size >> 10 * (power + 1) and power < len(_UNITS) - 1:
        power += 1
    if power == 0:
        return str(size)
    whole, rest = divmod(size, 1 << 10 * power)
    return f"{whole} {_UNITS[power]}" if not rest else f"{size / (1 << 10 * power):.1f} {_UNITS[power]}"


def cat(call: Call) -> None:
    for item in call.expand():
        with call.complaining():
            status = item.there()
            if status.is_folder:
                raise is_folder(item.shown)
            for piece in item.hdfs.read(item.path, status):
                call.write(piece)


#: flag -> whether what is there passes
_TESTS: dict[str, Callable[[Item, Status], bool]] = {
    "e": lambda item, status: True,
    "d": lambda item, status: status.is_folder,
    "f": lambda item, status: not status.is_folder,
    "s": lambda item, status: status.length > 0,
    "z": lambda item, status: status.length == 0,
    "r": lambda item, status: item.hdfs.may(item.path, "r--"),
    "w": lambda item, status: item.hdfs.may(item.path, "-w-"),
}


def test(call: Call) -> None:
    given = [flag for flag in _TESTS if call.has(flag)]
    if len(given) != 1:
        raise Misuse("Only one test flag is allowed" if given else "No test flag given")
    for item in call.expand():
        with call.complaining():
            if item.status is None or not _TESTS[given[0]](item, item.status):
                call.errors += 1


def stat(call: Call) -> None:
    form = call.arguments.pop(0) if "%" in call.arguments[0] else "%y"
    call.need(1)
    for item in call.expand():
        with call.complaining():
            _stat(call, form, item)


def _stat(call: Call, form: str, item: Item) -> None:
    call.line(_filled(form, item, item.there()))
    if call.has("R") and item.is_folder:
        for child in item.children():
            _stat(call, form, child)


def _filled(form: str, item: Item, status: Status) -> str:
    fields: dict[str, Callable[[], object]] = {
        "a": lambda: f"{status.permission:o}",
        "A": lambda: rights(status)[1:],
        "b": lambda: status.length,
        "F": lambda: "directory" if status.is_folder else "regular file",
        "g": lambda: status.group,
        "n": lambda: item.name,
        "o": lambda: status.block_bytes,
        "r": lambda: status.replication,
        "u": lambda: status.owner,
        "x": lambda: _utc(status.accessed_ms),
        "X": lambda: status.accessed_ms,
        "y": lambda: _utc(status.modified_ms),
        "Y": lambda: status.modified_ms,
    }
    made, chars = "", iter(form)
    for char in chars:
        following = next(chars, "") if char == "%" else ""
        made += char if char != "%" else str(fields[following]()) if following in fields else following
    return made


def _utc(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m-%d %H:%M:%S}"


def du(call: Call) -> None:
    call.arguments = call.arguments or ["."]
    rows = [("SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME")] if call.has("v") else []
    for item in call.expand():
        with call.complaining():
            inside = item.there().is_folder and not call.has("s")
            for each in item.children() if inside else [item]:
                rows.append(_usage(call, each))
    if len(rows) > call.has("v"):
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        for row in rows:
            call.line(f"{row[0]:<{first}}  {row[1]:<{second}}  {row[2]}")


def _usage(call: Call, item: Item) -> tuple[str, str, str]:
    summary = item.hdfs.summary(item.path)
    length, space = int(summary["length"]), int(summary["spaceConsumed"])
    if call.has("x"):
        length -= int(summary.get("snapshotLength", 0))
        space -= int(summary.get("snapshotSpaceConsumed", 0))
    shown = human if call.has("h") else str
    return shown(length), shown(space), item.shown
