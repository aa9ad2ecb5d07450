"""One of Hadoop's configuration files: its properties, each with the file and value that messages name.

Knows the form of the XML (Hadoop 2 and 3).  It refuses what could read other files or blow up in memory: document
types, entities, XInclude.  It does not know what any property means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers import expat

from kmsched.errors import ConfigRefused

#: real files have some KiB
MAX_FILE_BYTES = 4 << 20
MAX_DEPTH = 20

_FIELDS = frozenset({"name", "value", "final"})


@dataclass(frozen=True, slots=True)
class Property:
    """One property as it is written, and where."""

    name: str
    value: str
    is_final: bool
    file: Path


def read_properties(path: Path) -> list[Property]:
    """The properties in their order; [] where the file is missing.

    ConfigRefused: it cannot be read, is not UTF-8, not whole XML, or has what we refuse to follow.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigRefused(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigRefused(f"{path} has more than {MAX_FILE_BYTES >> 20} MiB; no configuration of Hadoop is that long")
    if not content.strip():
        raise ConfigRefused(f"{path} is empty; write it anew, or remove it to go without")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigRefused(f"{path} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from error
    return _Reader(path).read(text)


class _Reader:
    """Follows the elements from the start to the end of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[Property] = []
        self._open: list[str] = []
        self._fields: dict[str, str] = {}
        self._text: list[str] = []

    def read(self, text: str) -> list[Property]:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            raise ConfigRefused(
                f"{self._path} is not whole XML: line {error.lineno}: {expat.ErrorString(error.code)}; write it anew"
            ) from error
        return self._found

    def _doctype(self, name: str, *_: object) -> None:
        raise ConfigRefused(f"{self._path} has a <!DOCTYPE {name}>; document types and entities are refused: remove it")

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        if element.rpartition(":")[2] == "include":
            raise ConfigRefused(
                f"{self._path} includes {attributes.get('href', 'another file')!r}, which is not followed here; "
                "write its properties into the file"
            )
        if not self._open and element != "configuration":
            raise ConfigRefused(f"{self._path} is not Hadoop's: it starts with <{element}>, not <configuration>")
        if len(self._open) >= MAX_DEPTH:
            raise ConfigRefused(f"{self._path} has elements more than {MAX_DEPTH} deep; it is not Hadoop's")
        self._open.append(element)
        self._text.clear()
        if element == "property":
            self._fields = {name: value for name, value in attributes.items() if name in _FIELDS}

    def _end(self, element: str) -> None:
        self._open.pop()
        if element == "property":
            self._add(self._fields)
            self._fields = {}
        elif element in _FIELDS and self._open and self._open[-1] == "property":
            self._fields[element] = "".join(self._text)

    def _add(self, fields: dict[str, str]) -> None:
        name = fields.get("name", "").strip()
        if name and "value" in fields:
            is_final = fields.get("final", "").strip().lower() == "true"
            self._found.append(Property(name, fields["value"].strip(), is_final, self._path))


def merged(properties: list[Property]) -> dict[str, Property]:
    """By name: the last wins, but for one that is final."""
    found: dict[str, Property] = {}
    for each in properties:
        before = found.get(each.name)
        if before is None or not before.is_final:
            found[each.name] = replace(each)
    return found
