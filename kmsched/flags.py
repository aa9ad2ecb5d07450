"""How command lines and flags files become values, by the table of flags.

Knows the two spellings, the three places a flag may stand in (flags file, the host's own flags file, command line; the
later wins), old names, and what goes on to kubelet and kube-proxy.  What flags there are is in `flag_table`; whether
values fit each other or the machine is `config`'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kmsched import values
from kmsched.errors import UsageError
from kmsched.flag import BOTH, EXECUTOR, SCHEDULER, Flag, is_in_spec
from kmsched.flag_history import ALIAS_BY_NAME, REFUSED, Alias
from kmsched.flag_table import BY_NAME, FLAGS, flags_of
from kmsched.small_file import small_text
from kmsched.values import LISTS, Kind

__all__ = [
    "BOTH",
    "EXECUTOR",
    "FLAGS",
    "FLAGS_FILE",
    "HOST_FLAGS_FILE",
    "KUBELET_PREFIX",
    "PROXY_PREFIX",
    "SCHEDULER",
    "Flag",
    "Parsed",
    "flags_of",
    "is_in_spec",
    "parse",
    "parse_file",
    "parse_text",
    "value_of",
]

#: unknown flags with these prefixes go to kubelet and kube-proxy as they are, without it
KUBELET_PREFIX, PROXY_PREFIX = "kubelet-", "proxy-"
PASS_THROUGH = {KUBELET_PREFIX: "kubelet", PROXY_PREFIX: "kube-proxy"}
FLAGS_FILE = "flags-file"
#: flags of one host alone: none that changes executors may stand there
HOST_FLAGS_FILE = "host-flags-file"
FILES = (FLAGS_FILE, HOST_FLAGS_FILE)
_PASSED_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Values by flag name, defaults included, and what goes to kubelet and kube-proxy as it came.

    `kubelet_extra`, `proxy_extra`: ((name with its prefix, text), ...) sorted.  `cold_aliases`: old names that the
    document lists -> normal form, part of the spec.  `warnings`: one line for each old name.
    """

    command: str
    values: Mapping[str, Any]
    given: frozenset[str]
    kubelet_extra: tuple[tuple[str, str], ...] = ()
    proxy_extra: tuple[tuple[str, str], ...] = ()
    cold_aliases: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(slots=True)
class _Reading:
    known: Mapping[str, Flag]
    values: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, dict[str, str]] = field(default_factory=lambda: {prefix: {} for prefix in PASS_THROUGH})
    cold_aliases: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    #: of the one place that is being read: flag -> the name that it was given by
    names: dict[str, str] = field(default_factory=dict)


def parse(tokens: Sequence[str], command: str, *, complete: bool = True, also: Sequence[Flag] = ()) -> Parsed:
    """Turn a command line into values; flags files are read first, so that the command line wins.

    With complete=False required flags may be missing; `also` are flags of the asking command itself. Raises
    UsageError that names flag, value and remedy.
    """
    reading = _Reading({flag.name: flag for flag in (*flags_of(command), *also)})
    pairs = list(_pairs(tokens, reading.known))
    for file in FILES:
        for name, value in pairs:
            if name == file:
                _read_file(file, Path(value), reading)
    reading.names.clear()
    for name, value in pairs:
        if name not in FILES:
            _take(name, value, reading)
    return _parsed(reading, command, complete=complete)


def parse_file(path: Path, command: str) -> Parsed:
    """What `--flags-file PATH` alone gives. Raises UsageError that names file and line."""
    return parse([f"--{FLAGS_FILE}={path}"], command)


def parse_text(text: str, name: str, command: str) -> Parsed:
    """The same of what was read from the file `name`."""
    reading = _Reading({flag.name: flag for flag in flags_of(command)})
    _read_lines(FLAGS_FILE, name, text, reading)
    return _parsed(reading, command, complete=True)


def _parsed(reading: _Reading, command: str, *, complete: bool) -> Parsed:
    if complete:
        _require(reading)
    defaults = {flag.name: _default(flag) for flag in reading.known.values()}
    return Parsed(
        command,
        defaults | reading.values,
        frozenset(reading.values),
        tuple(sorted(reading.extra[KUBELET_PREFIX].items())),
        tuple(sorted(reading.extra[PROXY_PREFIX].items())),
        reading.cold_aliases,
        tuple(reading.warnings.values()),
    )


def value_of(flag: Flag, text: str) -> Any:
    """The value that `text` stands for; raises UsageError with the flag's name, the text and the remedy."""
    try:
        value = values.read(flag.kind, text)
    except ValueError as refusal:
        raise UsageError(f"--{flag.name}: {text!r} {refusal}") from None
    if flag.choices and value not in flag.choices:
        raise UsageError(f"--{flag.name}: {text!r} is not one of {', '.join(flag.choices)}")
    if flag.at_least is not None and value < flag.at_least:
        raise UsageError(f"--{flag.name}: {text!r} is too small; give at least {flag.at_least:g}")
    if flag.at_most is not None and value > flag.at_most:
        raise UsageError(f"--{flag.name}: {text!r} is too large; give at most {flag.at_most:g}")
    if flag.pattern is not None:
        form, remedy = flag.pattern
        for item in value if flag.kind in LISTS else (value,):
            if not re.fullmatch(form, item):
                raise UsageError(f"--{flag.name}: {item!r} cannot be right; {remedy}")
    return value


def _read_file(option: str, path: Path, reading: _Reading) -> None:
    try:
        text = small_text(path, "utf-8-sig")
    except ValueError as error:
        raise UsageError(f"--{option}: cannot read {str(path)!r}: {error}") from None
    _read_lines(option, str(path), text, reading)


def _read_lines(option: str, name_of_file: str, content: str, reading: _Reading) -> None:
    """One flag a line, as `--name=value`, `name=value` or `name: value`; `#` starts a comment line."""
    reading.names.clear()
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#") or text == "---":
            continue
        try:
            [(name, value)] = _pairs([_as_token(text)], reading.known)
            if name in FILES:
                raise UsageError(f"--{name} cannot stand in a flags file; put its lines here")
            if option == HOST_FLAGS_FILE and _changes_executors(name):
                raise UsageError(
                    f"--{name} changes executors, so it must be the same on all hosts: move it to --{FLAGS_FILE}"
                )
            _take(name, value, reading)
        except UsageError as error:
            raise UsageError(f"{name_of_file}:{number}: {error}") from None


def _changes_executors(name: str) -> bool:
    alias = ALIAS_BY_NAME.get(name)
    names = (name,) if alias is None else (name, alias.target)
    return any(is_in_spec(each) or (each in BY_NAME and BY_NAME[each].is_compared) for each in names)


def _as_token(text: str) -> str:
    text = text.removeprefix("--")
    name, separator, value = text.partition(":")
    if separator and "=" not in name and (value == "" or value[0].isspace()):
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        text = f"{name.strip()}={value}"
    return f"--{text}"


def _pairs(tokens: Iterable[str], known: Mapping[str, Flag]) -> Iterable[tuple[str, str]]:
    """(canonical name, text) of each flag on the line, in its order."""
    rest = iter(tokens)
    for token in rest:
        if not token.startswith("--") or token == "--":
            raise UsageError(f"{token!r} is not a flag; flags are written --name=value")
        name, separator, value = token[2:].partition("=")
        name = name.replace("_", "-")
        flag = known.get(name)
        if separator:
            yield name, value
        elif flag is not None and flag.kind is Kind.BOOL:
            yield name, "true"
        elif flag is None and (positive := known.get(name.removeprefix("no-"))) and positive.kind is Kind.BOOL:
            yield positive.name, "false"
        elif flag is None and name not in FILES and _alias_of(name, known) is None:
            raise _unknown(name, known)
        else:
            following = next(rest, None)
            if following is None or following.startswith("--"):
                raise UsageError(f"--{name} needs a value; write --{name}=VALUE")
            yield name, following


def _take(name: str, text: str, reading: _Reading) -> None:
    flag, alias = reading.known.get(name), _alias_of(name, reading.known)
    prefix = next((each for each in PASS_THROUGH if name.startswith(each) and name != each), None)
    if flag is not None:
        _set(name, name, value_of(flag, text), reading)
    elif alias is not None:
        _take_alias(alias, text, reading)
    elif prefix is not None and name not in REFUSED:
        reading.extra[prefix][name] = _passed_on(prefix, name, text)
    else:
        raise _unknown(name, reading.known)


def _passed_on(prefix: str, name: str, text: str) -> str:
    """What kubelet or kube-proxy make of it is theirs to say, but it must be able to reach them."""
    if not _PASSED_NAME.fullmatch(name):
        raise UsageError(f"--{name!r} is no name of a flag; write --{prefix}NAME=VALUE, without blanks")
    try:
        return str(values.read(Kind.TEXT, text))
    except ValueError as refusal:
        raise UsageError(f"--{name}: {text!r} {refusal}") from None


def _alias_of(name: str, known: Mapping[str, Flag]) -> Alias | None:
    alias = ALIAS_BY_NAME.get(name)
    return alias if alias is not None and alias.target in known else None


def _take_alias(alias: Alias, text: str, reading: _Reading) -> None:
    flag = reading.known[alias.target]
    try:
        value = value_of(flag, alias.translate(text))
    except (UsageError, ValueError) as refusal:
        why = f"{text!r} {refusal}" if not isinstance(refusal, UsageError) else str(refusal)
        raise UsageError(f"--{alias.name}: {why}") from None
    _set(alias.target, alias.name, value, reading)
    words = f"--{alias.name} is an old name; write --{alias.target}={flag.normal(value)}"
    if alias.in_spec and not flag.in_spec:
        reading.cold_aliases[alias.name] = flag.normal(value)
        words += f", which changes no fingerprint; what stands under --{alias.name} does"
    reading.warnings[alias.name] = words


def _set(target: str, name: str, value: Any, reading: _Reading) -> None:
    """The later place wins over the earlier; in one place, two names with two values are a mistake."""
    before = reading.names.setdefault(target, name)
    if before != name and reading.values[target] != value:
        raise UsageError(f"--{before} and --{name} set the same, and to different values; give --{target} only")
    reading.values[target] = value


def _unknown(name: str, known: Mapping[str, Flag]) -> UsageError:
    if name in REFUSED:
        return UsageError(f"--{name} is not taken: {REFUSED[name]}")
    for prefix, program in PASS_THROUGH.items():
        if name.startswith(prefix):
            return UsageError(f"--{name} goes to {program} and needs its value with '=': write --{name}=VALUE")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean --{close[0]}?" if close else "see --help"
    return UsageError(f"unknown flag --{name}; {hint}")


def _require(reading: _Reading) -> None:
    missing = [
        flag
        for flag in reading.known.values()
        if flag.required and flag.name not in reading.values and flag.unless not in reading.values
    ]
    if missing:
        names = ", ".join(f"--{flag.name}" for flag in missing)
        raise UsageError(f"{names} must be given; see --help")


@cache
def _default(flag: Flag) -> Any:
    if flag.default is None:
        return () if flag.kind in LISTS else None
    return value_of(flag, flag.default)
