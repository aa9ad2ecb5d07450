"""Kinds of flag values: how each is read from text, and its one normal form as text.

Knows durations, sizes, CPUs, lists, addresses, paths and URIs.  It does not know flags: a ValueError completes the
sentence "'text' ...", and the caller says which flag it was.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from kmsched import artifact_uri


class Kind(enum.Enum):
    """The Python value of each kind is named beside it."""

    TEXT = "text"  # str
    INT = "int"  # int
    BOOL = "bool"  # bool
    DURATION = "duration"  # float, seconds
    CPUS = "cpus"  # float
    MIB = "MiB"  # int
    LIST = "list"  # tuple of str
    ADDRESSES = "addresses"  # tuple of str, IP addresses in their short form
    PATH = "path"  # str, absolute and normal
    URI = "URI"  # str; a bare absolute path becomes file:///path
    ARTIFACT = "artifact"  # str; a URI that may name its SHA-256, also as #sha256=<hex>


LISTS = frozenset({Kind.LIST, Kind.ADDRESSES})
UNITS_MS: Mapping[str, int] = MappingProxyType(
    {"ms": 1, "s": 1000, "": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
)
SIZES_MIB: Mapping[str, int] = MappingProxyType({"": 1, "Mi": 1, "MiB": 1, "Gi": 1024, "GiB": 1024})
MAX_DURATION_MS = 100 * 365 * UNITS_MS["d"]
SCHEMES = ("file", "http", "https")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SERVER = "write host:port or http(s)://host:port"
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")


def read(kind: Kind, text: str) -> Any:
    """The value; ValueError says what is wrong and what to write."""
    if kind not in (Kind.TEXT, *LISTS) and not text:
        raise ValueError(f"is empty; give a {kind.value}")
    return _READERS[kind](text)


def write(kind: Kind, value: Any) -> str:
    """The normal form: equal values give equal text, and reading it gives the value again."""
    if value is None:
        return ""
    if kind is Kind.BOOL:
        return "true" if value else "false"
    if kind is Kind.DURATION:
        milliseconds = round(value * 1000)
        return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
    if kind is Kind.CPUS:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if kind in LISTS:
        return ",".join(value)
    return str(value)


def as_json(kind: Kind, value: Any) -> Any:
    """The value as the executor spec holds it: numbers, booleans and lists as such, all else in its normal form."""
    if kind in (Kind.BOOL, Kind.INT, Kind.MIB):
        return value
    return list(value) if kind in LISTS else write(kind, value)


def read_duration(text: str) -> float:
    """Seconds of "30s", "1h30m", "500ms"; a bare number is seconds."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        parts = [(text, "s")]
    elif re.fullmatch(f"(?:{_PART.pattern})+", text):
        parts = _PART.findall(text)
        parts = [(part[0], part[1]) for part in parts]
    else:
        raise ValueError("is not a duration; write it like 30s, 5m, 4w or 500ms")
    milliseconds = sum(Decimal(number) * UNITS_MS[unit] for number, unit in parts)
    if milliseconds > MAX_DURATION_MS:
        raise ValueError("is too long; give at most 100 years")
    if milliseconds and milliseconds < 1:
        raise ValueError("is too short; give 0 or at least 1ms")
    return int(milliseconds) / 1000


def _read_text(text: str) -> str:
    if any(ord(character) < 32 for character in text):
        raise ValueError("holds control characters; write one line of text")
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise ValueError("holds bytes that are no UTF-8; write text")
    return text


def _read_int(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("is not a whole number; write it like 10251")
    return int(text)


def _read_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return lowered in _TRUE


def _read_cpus(text: str) -> float:
    try:
        if "_" in text or not text.isascii():
            raise InvalidOperation
        number = Decimal(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
    except InvalidOperation:
        raise ValueError("is not a number of CPUs; write it like 0.25 or 250m") from None
    if not number.is_finite() or number < 0 or number > 10_000:
        raise ValueError("is out of range; give 0 to 10000 CPUs")
    return float(number.quantize(Decimal("0.001"), ROUND_HALF_EVEN))


def _read_mib(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([A-Za-z]*)", text)
    if match is None or match[2] not in SIZES_MIB:
        raise ValueError("is not a size; write MiB as a whole number, like 256, 256Mi or 1Gi")
    return int(match[1]) * SIZES_MIB[match[2]]


def _read_list(text: str) -> tuple[str, ...]:
    items = [_read_text(item.strip()) for item in text.split(",")]
    return tuple(dict.fromkeys(item for item in items if item))


def _read_addresses(text: str) -> tuple[str, ...]:
    try:
        found = [str(ipaddress.ip_address(item)) for item in _read_list(text)]
    except ValueError:
        raise ValueError("is no list of IP addresses; write it like 10.32.0.10,10.32.0.11") from None
    return tuple(dict.fromkeys(found))


def _read_path(text: str) -> str:
    text = _read_text(text)
    if not text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise ValueError("is not an absolute path; write it from the root, like /etc/kmsched/file")
    return "/" + str(PurePosixPath(text)).lstrip("/")


def _read_uri(text: str) -> str:
    return _read_uri_of(SCHEMES, text)


def _read_artifact(text: str) -> str:
    """Without a digest behind it where the path names it already."""
    bare = _read_uri_of(artifact_uri.SCHEMES, artifact_uri.without_digest(text))
    parts = urlsplit(bare)
    if "@" in parts.netloc:
        raise ValueError("holds a user; everybody can read this flag, so give a URI that needs no credentials")
    if not parts.path.startswith("/") or parts.path.endswith("/"):
        raise ValueError("names no file; write it like hdfs:///path/km")
    digest = artifact_uri.sha256_of(text)
    return bare if digest is None else artifact_uri.with_digest(bare, digest)


def _read_uri_of(schemes: tuple[str, ...], text: str) -> str:
    if text.startswith("/"):
        return "file://" + _read_path(text)
    try:
        parts = urlsplit(_read_text(text))
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URI: {error}; write it like {schemes[-1]}://host:port/path") from None
    if parts.scheme == "file":
        if parts.netloc:
            raise ValueError(f"has a host; write file:///{parts.netloc}{parts.path} with three slashes")
        return "file://" + _read_path(parts.path)
    if parts.scheme not in schemes:
        raise ValueError(f"has no usable scheme; write one of {', '.join(schemes)}, like file:///path")
    if not parts.hostname and parts.scheme != "hdfs":
        raise ValueError("names no host; write it like http://host:port/path")
    if parts.scheme in _DEFAULT_PORTS and not re.fullmatch("[!-~]+", text):
        raise ValueError(f"has characters that no {parts.scheme} URI has; write them as %XX, like {quote('ä')} for ä")
    netloc = parts.netloc.lower() if parts.username is None else parts.netloc
    if port is not None and port == _DEFAULT_PORTS.get(parts.scheme):
        netloc = netloc.removesuffix(f":{port}")
    bare = f"{parts.scheme}://{netloc}{parts.path}"
    return bare + text[len(text.partition("?")[0].partition("#")[0]) :]


def read_server(text: str, scheme: str) -> str:
    """scheme://host:port of "host:port", or a URL in the same form; one of the scheme's own port goes without it."""
    if text.startswith("zk://"):
        raise ValueError("is ZooKeeper, which is not read; list the masters as host:port,host:port")
    try:
        parts = urlsplit(_read_text(text) if "://" in text else f"{scheme}://{_read_text(text)}")
    except ValueError as error:
        raise ValueError(f"is no server: {error}; {_SERVER}") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has no valid port; write host:port")
    if "@" in parts.netloc:
        raise ValueError(f"holds a user, which everybody could read; {_SERVER}")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or re.search(r"\s", parts.netloc):
        raise ValueError(f"is no server; {_SERVER}")
    if parts.path.strip("/") or {"?", "#"} & set(text):
        raise ValueError(f"has something behind the server; {_SERVER}")
    if port is None and "://" not in text:
        raise ValueError(f"has no port; write {text}:PORT")
    netloc = parts.netloc.lower()
    if port == _DEFAULT_PORTS[parts.scheme]:
        netloc = netloc.removesuffix(f":{port}")
    return f"{parts.scheme}://{netloc}"


_READERS: Mapping[Kind, Callable[[str], Any]] = MappingProxyType(
    {
        Kind.TEXT: _read_text,
        Kind.INT: _read_int,
        Kind.BOOL: _read_bool,
        Kind.DURATION: read_duration,
        Kind.CPUS: _read_cpus,
        Kind.MIB: _read_mib,
        Kind.LIST: _read_list,
        Kind.ADDRESSES: _read_addresses,
        Kind.PATH: _read_path,
        Kind.URI: _read_uri,
        Kind.ARTIFACT: _read_artifact,
    }
)
