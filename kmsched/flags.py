"""The one table of flags of `km scheduler` and `km executor`, and how their text becomes values.

Knows names, kinds, defaults, bounds and which flags belong to the executor spec.  Generates nothing itself: the
parser, the help, the docs page and the flags file all read `FLAGS`.  It does not know whether values fit each other
or the machine: that is `config`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmsched import values
from kmsched.errors import UsageError
from kmsched.values import Kind

SCHEDULER = "scheduler"
EXECUTOR = "executor"
BOTH = frozenset({SCHEDULER, EXECUTOR})
ONLY_SCHEDULER = frozenset({SCHEDULER})

#: names that the compatibility document lists: a flag that matches is part of the executor spec, always
SPEC_NAMES = frozenset({"allow-privileged", "api-servers", "auth-path", "km-path", "profiling"})
SPEC_PREFIXES = ("cluster-", "executor-", "kubelet-", "proxy-")

#: unknown flags with this prefix go to kubelet as they are, without it
PASS_THROUGH_PREFIX = "kubelet-"
FLAGS_FILE = "flags-file"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `default` is written as a user would; None means "not given" and then `required` decides."""

    name: str
    kind: Kind
    default: str | None
    help: str
    commands: frozenset[str] = ONLY_SCHEDULER
    required: bool = False
    choices: tuple[str, ...] = ()
    metavar: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def in_spec(self) -> bool:
        return is_in_spec(self.name)

    @property
    def key(self) -> str:
        """Its name as a Python identifier."""
        return self.name.replace("-", "_")


def is_in_spec(name: str) -> bool:
    """Whether a flag of this name is part of the executor spec (and so of the fingerprint)."""
    return name in SPEC_NAMES or name.startswith(SPEC_PREFIXES)


FLAGS: tuple[Flag, ...] = (
    Flag("mesos-master", Kind.LIST, None, "Mesos masters, as host:port or URL.", required=True),
    Flag("mesos-user", Kind.TEXT, "root", "User that executors run as on the agents."),
    Flag("mesos-role", Kind.TEXT, "*", "Mesos role whose offers are taken."),
    Flag("mesos-authentication-principal", Kind.TEXT, None, "Principal to register with."),
    Flag("mesos-authentication-secret-file", Kind.PATH, None, "File that holds the principal's secret."),
    Flag("checkpoint", Kind.BOOL, "true", "Agents keep executors when the agent process restarts."),
    Flag("failover-timeout", Kind.DURATION, "4w", "How long Mesos keeps tasks without a scheduler.", at_least=0),
    Flag("allow-short-failover-timeout", Kind.BOOL, "false", "Accept a failover timeout below one week."),
    Flag("framework-name", Kind.TEXT, "Kubernetes", "Name of the framework in Mesos."),
    Flag("framework-weburi", Kind.URI, None, "Link that Mesos shows for the framework."),
    Flag("api-servers", Kind.LIST, None, "Kubernetes API servers; override the kubeconfig's.", BOTH),
    Flag("kubeconfig", Kind.PATH, None, "The scheduler's own credentials for the Kubernetes API."),
    Flag("scheduler-name", Kind.TEXT, "default-scheduler", "Pods with this schedulerName are placed."),
    Flag("state-dir", Kind.PATH, "/var/lib/kmsched", "Folder for framework id, term and lock."),
    Flag("address", Kind.TEXT, "127.0.0.1", "Address that the HTTP server binds to."),
    Flag("port", Kind.INT, "10251", "Port of the HTTP server; 0 takes any free one.", at_least=0, at_most=65535),
    Flag(
        "km-path",
        Kind.ARTIFACT,
        None,
        "The km file that agents run: file:///path on the agent, or an hdfs or http(s) URI that agents fetch.",
        required=True,
    ),
    Flag(
        "allow-mutable-km-path",
        Kind.BOOL,
        "false",
        "Has no effect any more: a --km-path that names no SHA-256 is read once.",
    ),
    Flag("executor-cpus", Kind.CPUS, "0.25", "CPUs charged once per agent for executor and kubelet.", at_least=0.01),
    Flag("executor-mem", Kind.MIB, "256", "Memory charged once per agent, MiB.", at_least=32),
    Flag(
        "executor-launch-grace-period",
        Kind.DURATION,
        "5m",
        "How long a task may wait on the agent for its pod to be bound and to run.",
        BOTH,
        at_least=1,
    ),
    Flag(
        "executor-idle-timeout",
        Kind.DURATION,
        "20m",
        "An executor without tasks ends after this; 0 means never.",
        BOTH,
        at_least=0,
    ),
    Flag(
        "executor-shutdown-grace-period",
        Kind.DURATION,
        "30s",
        "How long Mesos waits for an executor that was told to end.",
        at_least=1,
    ),
    Flag("kubelet-path", Kind.ARTIFACT, "file:///usr/local/lib/kmsched/kubelet", "kubelet on the agent.", BOTH),
    Flag(
        "kubelet-kubeconfig",
        Kind.PATH,
        "/etc/kmsched/kubelet.kubeconfig",
        "The node's own credentials, a file on the agent.",
        BOTH,
    ),
    Flag("kubelet-root-dir", Kind.PATH, "/var/lib/kubelet", "kubelet's folder on the agent; never change it.", BOTH),
    Flag(
        "kubelet-container-runtime-endpoint",
        Kind.TEXT,
        "unix:///run/containerd/containerd.sock",
        "containerd's socket on the agent.",
        BOTH,
    ),
    Flag("cluster-dns", Kind.LIST, None, "Addresses of the cluster's DNS, given to pods.", BOTH),
    Flag("cluster-domain", Kind.TEXT, None, "Domain of the cluster, given to pods.", BOTH),
    Flag("offer-ttl", Kind.DURATION, "5s", "Unused offers are declined after this.", at_least=0.1),
    Flag("refuse-seconds", Kind.DURATION, "5s", "How long Mesos withholds what was declined.", at_least=0),
    Flag("launch-timeout", Kind.DURATION, "2m", "A launch silent for this long is dropped.", at_least=1),
    Flag("reconcile-interval", Kind.DURATION, "5m", "Pause between reconciliations of all tasks.", at_least=10),
    Flag(
        "default-container-cpu-limit",
        Kind.CPUS,
        "0.25",
        "CPUs counted for a container that requests none.",
        at_least=0,
    ),
    Flag(
        "default-container-mem-limit",
        Kind.MIB,
        "64",
        "Memory counted for a container that requests none, MiB.",
        at_least=0,
    ),
    Flag("log-format", Kind.TEXT, "text", "How log lines are written.", BOTH, choices=("text", "json")),
    Flag(
        "log-level",
        Kind.TEXT,
        "info",
        "The least severe lines that are written.",
        BOTH,
        choices=("debug", "info", "warning", "error"),
    ),
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Values by flag name, defaults included, and what goes to kubelet as it came: ((name, value), ...) sorted."""

    command: str
    values: Mapping[str, Any]
    given: frozenset[str]
    kubelet_extra: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(slots=True)
class _Reading:
    known: Mapping[str, Flag]
    values: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)


def flags_of(command: str) -> tuple[Flag, ...]:
    return tuple(flag for flag in FLAGS if command in flag.commands)


def parse(tokens: Sequence[str], command: str, *, complete: bool = True) -> Parsed:
    """Turn a command line into values; `--flags-file` is read first, so that the command line wins.

    With complete=False required flags may be missing. Raises UsageError that names flag, value and remedy.
    """
    reading = _Reading({flag.name: flag for flag in flags_of(command)})
    pairs = list(_pairs(tokens, reading.known))
    for name, value in pairs:
        if name == FLAGS_FILE:
            read_file(Path(value), reading)
    for name, value in pairs:
        if name != FLAGS_FILE:
            _take(name, value, reading)
    if complete:
        _require(reading)
    defaults = {flag.name: _default(flag) for flag in reading.known.values()}
    return Parsed(
        command,
        defaults | reading.values,
        frozenset(reading.values),
        tuple(sorted(reading.extra.items())),
    )


def parse_file(path: Path, command: str) -> Parsed:
    """What `--flags-file PATH` alone gives. Raises UsageError that names file and line."""
    return parse([f"--{FLAGS_FILE}={path}"], command)


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
    return value


def read_file(path: Path, reading: _Reading) -> None:
    """One flag a line, as `--name=value`, `name=value` or `name: value`; `#` starts a comment line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--{FLAGS_FILE}: cannot read {str(path)!r}: {error}") from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#") or text == "---":
            continue
        try:
            [(name, value)] = _pairs([_as_token(text)], reading.known)
            if name == FLAGS_FILE:
                raise UsageError(f"--{FLAGS_FILE} cannot stand in a flags file; put its lines here")
            _take(name, value, reading)
        except UsageError as error:
            raise UsageError(f"{path}:{number}: {error}") from None


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
        elif flag is None and name != FLAGS_FILE:
            raise _unknown(name, known)
        else:
            following = next(rest, None)
            if following is None or following.startswith("--"):
                raise UsageError(f"--{name} needs a value; write --{name}=VALUE")
            yield name, following


def _take(name: str, text: str, reading: _Reading) -> None:
    flag = reading.known.get(name)
    if flag is not None:
        reading.values[name] = value_of(flag, text)
    elif name.startswith(PASS_THROUGH_PREFIX) and len(name) > len(PASS_THROUGH_PREFIX):
        reading.extra[name] = text
    else:
        raise _unknown(name, reading.known)


def _unknown(name: str, known: Mapping[str, Flag]) -> UsageError:
    if name.startswith(PASS_THROUGH_PREFIX):
        return UsageError(f"--{name} goes to kubelet and needs its value with '=': write --{name}=VALUE")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean --{close[0]}?" if close else "see --help"
    return UsageError(f"unknown flag --{name}; {hint}")


def _require(reading: _Reading) -> None:
    missing = [flag for flag in reading.known.values() if flag.required and flag.name not in reading.values]
    if missing:
        names = ", ".join(f"--{flag.name}" for flag in missing)
        raise UsageError(f"{names} must be given; see --help")


def _default(flag: Flag) -> Any:
    if flag.default is None:
        return () if flag.kind is Kind.LIST else None
    return value_of(flag, flag.default)
