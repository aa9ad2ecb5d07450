"""Paths of HDFS as people type them to `hadoop fs`: URIs, absolute, relative to the home folder, with patterns.

Knows how each is shown again and which NameNodes serve it.  It does not know what a command does with it.
"""

from __future__ import annotations

import os
import posixpath
import pwd
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.clients.webhdfs import WebHdfs
from kmsched.clients.webhdfs_answers import NotThere, Status
from kmsched.errors import KmError

#: of {a,b}; no command line needs more
MAX_ALTERNATIVES = 1000
_TYPED = re.compile(r"(?:(?P<scheme>[^:/]+):(?=/))?(?://(?P<authority>[^/]*))?(?P<path>.*)", re.DOTALL)
_BRACES = re.compile(r"(?<!\\)\{([^{}]*)\}")
_PATTERN = re.compile(r"(?<!\\)[*?\[{]")


class Complaint(KmError):
    """What a command says about one path; the others go on."""


class Misuse(KmError):
    """The command line is not of the command's form; its usage is shown."""


def complaint(shown: str, what: str) -> Complaint:
    return Complaint(f"`{shown}': {what}")


def missing(shown: str, qualified: str = "") -> Complaint:
    """`qualified`: the whole URI, where the folder around it is what is missing."""
    return complaint(shown, "No such file or directory" + (f": `{qualified}'" if qualified else ""))


def exists(shown: str) -> Complaint:
    return complaint(shown, "File exists")


def is_folder(shown: str) -> Complaint:
    return complaint(shown, "Is a directory")


def is_no_folder(shown: str) -> Complaint:
    return complaint(shown, "Is not a directory")


@dataclass(frozen=True, slots=True)
class Item:
    """One path; `status` is None where there is nothing."""

    hdfs: WebHdfs
    authority: str
    shown: str
    path: str
    status: Status | None

    @property
    def is_folder(self) -> bool:
        return self.status is not None and self.status.is_folder

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    @property
    def uri(self) -> str:
        return f"hdfs://{self.authority}{self.path}"

    @property
    def parent(self) -> str:
        return posixpath.dirname(self.path)

    def there(self) -> Status:
        """Complaint: there is nothing."""
        if self.status is None:
            raise missing(self.shown)
        return self.status

    def child(self, name: str, status: Status | None) -> Item:
        shown = name if self.shown == "." else f"{self.shown.rstrip('/')}/{name}"
        return Item(self.hdfs, self.authority, shown, posixpath.join(self.path, name), status)

    def children(self) -> list[Item]:
        return [self.child(each.name, each) for each in self.hdfs.listing(self.path)]


@dataclass(frozen=True)
class Files:
    """All that is known before a path is typed; connections are made when they are needed."""

    conf: HadoopConf
    environ: Mapping[str, str]
    connect: Callable[..., WebHdfs] = WebHdfs
    _connected: dict[str, WebHdfs] = field(default_factory=dict)

    @property
    def user(self) -> str:
        if given := self.environ.get("HADOOP_USER_NAME"):
            return given
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError as error:
            raise Complaint(f"the uid {os.getuid()} has no name; set HADOOP_USER_NAME") from error

    def at(self, typed: str) -> Item:
        """The path itself, whatever characters it has."""
        item, _ = self._resolved(typed)
        return Item(item.hdfs, item.authority, typed, item.path, status_of(item.hdfs, item.path))

    def expanded(self, typed: str) -> list[Item]:
        """What the pattern matches, by name; a path without one is there or not. Complaint: nothing matches."""
        item, form = self._resolved(typed)
        if not _PATTERN.search(item.path):
            path = re.sub(r"\\(.)", r"\1", item.path)
            status = status_of(item.hdfs, path)
            return [Item(item.hdfs, item.authority, form(path) if status else typed, path, status)]
        found = {(path, status) for pattern in alternatives(item.path) for path, status in _matches(item.hdfs, pattern)}
        if not found:
            raise missing(typed)
        return [
            Item(item.hdfs, item.authority, form(path), path, status)
            for path, status in sorted(found, key=lambda each: each[0])
        ]

    def _resolved(self, typed: str) -> tuple[Item, Callable[[str], str]]:
        """The path before it was looked at, and how paths that come of it are shown."""
        match = _TYPED.fullmatch(typed)
        assert match is not None
        scheme, authority, path = match["scheme"], match["authority"], match["path"]
        if not typed:
            raise Misuse("Can not create a Path from an empty string")
        default = self.conf.default_fs
        if scheme is None and default is not None and not default.startswith("hdfs:"):
            raise Complaint(f"{typed}: the default file system is {default}; write hdfs://HOST/PATH")
        if scheme not in (None, "hdfs") or (scheme is None and authority is not None):
            raise Complaint(f'No FileSystem for scheme "{scheme or "null"}"')
        served = authority or self.conf.authority("hdfs:///")
        hdfs = self._hdfs(served)
        if path.startswith("/") or scheme:
            prefix = "" if scheme is None else f"hdfs://{authority or ''}"
            path = posixpath.normpath(f"/{path.lstrip('/')}")
            return Item(hdfs, served, typed, path, None), lambda found: prefix + found
        home = hdfs.home()
        path = posixpath.normpath(posixpath.join(home, path))
        return Item(hdfs, served, typed, path, None), lambda found: posixpath.relpath(found, home)

    def _hdfs(self, authority: str) -> WebHdfs:
        if authority not in self._connected:
            security = self.conf.get("hadoop.security.authentication") or "simple"
            if security.lower() != "simple":
                raise Complaint(
                    f"hadoop.security.authentication={security}: this small client only knows simple; install Hadoop"
                )
            self._connected[authority] = self.connect(self.conf.http_addresses(authority), user=self.user)
        return self._connected[authority]


def status_of(hdfs: WebHdfs, path: str) -> Status | None:
    try:
        return hdfs.status(path)
    except NotThere:
        return None


def alternatives(pattern: str) -> Iterator[str]:
    """`a{b,c}` is ab and ac; they may have slashes and lie in each other."""
    todo, made = [pattern], 0
    while todo:
        first = todo.pop()
        match = _BRACES.search(first)
        if match is None:
            yield first
            continue
        made += match[1].count(",") + 1
        if made > MAX_ALTERNATIVES:
            raise complaint(pattern, f"More than {MAX_ALTERNATIVES} alternatives")
        todo += [first[: match.start()] + each + first[match.end() :] for each in match[1].split(",")]


def _matches(hdfs: WebHdfs, pattern: str) -> list[tuple[str, Status]]:
    root = status_of(hdfs, "/")
    found = [("/", root)] if root else []
    for part in filter(None, pattern.split("/")):
        if not _PATTERN.search(part):
            name = re.sub(r"\\(.)", r"\1", part)
            paths = [posixpath.join(path, name) for path, status in found if status.is_folder]
            found = [(path, status) for path in paths if (status := status_of(hdfs, path)) is not None]
            continue
        wanted = re.compile(_regex(part), re.DOTALL)
        folders = [(path, hdfs.listing(path)) for path, status in found if status.is_folder]
        found = [
            (posixpath.join(path, status.name), status)
            for path, status in ((path, status) for path, listed in folders for status in listed)
            if wanted.fullmatch(status.name)
        ]
    return found


def _regex(part: str) -> str:
    """One part of a pattern; a bracket that is not closed is itself."""
    made, at = "", 0
    while at < len(part):
        char, rest = part[at], part[at + 1 :]
        end = rest.find("]", 1)
        if char == "\\" and rest:
            made, at = made + re.escape(rest[0]), at + 2
        elif char == "[" and end > 0:
            inner = rest[:end].replace("\\", "\\\\").replace("[", "\\[")
            made, at = made + "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]", at + end + 2
        else:
            made, at = made + {"*": ".*", "?": "."}.get(char, re.escape(char)), at + 1
    return made
