"""The executor spec, its fingerprint, and the ExecutorInfo that follows from it.

Knows which settings Mesos compares between executors, and their one canonical form.  Equal settings give equal
bytes on every machine.  It does not know offers, agents, the framework id's origin, or where digests come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kmsched import values
from kmsched.artifact_uri import with_digest, without_digest
from kmsched.config import SchedulerConfig
from kmsched.core.executor_id import FLAVOUR_MARK
from kmsched.executor.gate import gate_source
from kmsched.flag import EXECUTOR
from kmsched.flag_table import BY_NAME

SCHEMA = 2
NAME = "km executor"
SOURCE = "kubernetes"
INTERPRETER = "python3"
#: the name of km in the executor's sandbox when Mesos fetches it
FETCHED_NAME = "km"
ID_PREFIX = "km-"
ID_DIGITS = 16
FLAVOUR_DIGITS = 6

Json = dict[str, Any]


def executor_spec(config: SchedulerConfig, digests: Mapping[str, str], gate: str | None = None) -> Json:
    """All that makes two executors different, as plain JSON values without fractions.

    `digests`: flag name -> SHA-256 of its artifact; that of km must be there.  `gate`: the program that checks km,
    by default the one that is used.
    """
    gate = gate_source() if gate is None else gate
    command = _command(config, digests, _named(gate))
    return {
        "schema": SCHEMA,
        "flags": {name: _typed(name, text) for name, text in config.spec_flags.items()},
        "artifacts": {name: digests[name] for name in sorted(config.artifacts) if name in digests},
        "executor": {
            "type": "CUSTOM",
            "name": NAME,
            "source": SOURCE,
            "gate": _named(gate),
            "command": command,
            "resources": {"cpus_milli": config.executor_cpus_milli, "mem_mib": config.executor_mem_mib},
            "role": config.mesos_role,
        },
    }


def canonical(spec: Mapping[str, Any]) -> bytes:
    """The bytes that are hashed and stored: sorted keys, no spaces, ASCII."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def fingerprint(spec: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical spec, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(spec)).hexdigest()


def executor_id(spec: Mapping[str, Any]) -> str:
    return ID_PREFIX + fingerprint(spec)[:ID_DIGITS]


def flavoured_id(executor_id: str, role: str, reservation: str) -> str:
    """The id of the same executor where its own resources are of another role, or reserved: Mesos compares that, too,
    and only offers of an agent tell which of them it has.
    """
    return f"{executor_id}{FLAVOUR_MARK}{hashlib.sha256(f'{role} {reservation}'.encode()).hexdigest()[:FLAVOUR_DIGITS]}"


def executor_info(config: SchedulerConfig, digests: Mapping[str, str], framework_id: str) -> Json:
    """The ExecutorInfo of Mesos' v1 JSON API. Every task on an agent must carry exactly this."""
    return {
        "type": "CUSTOM",
        "executor_id": {"value": executor_id(executor_spec(config, digests))},
        "framework_id": {"value": framework_id},
        "name": NAME,
        "source": SOURCE,
        "command": _command(config, digests, gate_source()),
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": config.executor_cpus_milli / 1000}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": float(config.executor_mem_mib)}},
        ],
        "shutdown_grace_period": {"nanoseconds": round(config.executor_shutdown_grace_period_s * 1_000_000_000)},
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two specs say differently; None: not set. `name` is the flag's where one is to blame."""

    name: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.name}: {spoken(self.ours)} here, {spoken(self.theirs)} there"


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What differs, causes only: what merely follows from a flag that differs is left out. () if they are equal."""
    found = _different("--{}", ours.get("flags", {}), theirs.get("flags", {}))
    found += _different("digest of --{}", ours.get("artifacts", {}), theirs.get("artifacts", {}))
    mine, other = dict(ours.get("executor", {})), dict(theirs.get("executor", {}))
    effects = {part: (mine.pop(part, None), other.pop(part, None)) for part in ("command", "resources")}
    found += _different("--mesos-role", *({"role": one.pop("role", None)} for one in (mine, other)))
    found += _different("executor {}", mine, other)
    if not found:
        found += [Difference(f"executor {part}", *pair) for part, pair in effects.items() if pair[0] != pair[1]]
    rest = {"flags", "artifacts", "executor"}
    return tuple(
        found + _different("{}", *({k: v for k, v in spec.items() if k not in rest} for spec in (ours, theirs)))
    )


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """`compare` in words."""
    return tuple(str(each) for each in compare(ours, theirs))


def _different(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(name.format(key), ours.get(key), theirs.get(key))
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]


def spoken(value: Any) -> str:
    """A value of a spec in words."""
    if value is None:
        return "not set"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    return repr(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _typed(name: str, text: str) -> Any:
    """A flag's value as JSON; flags of kubelet and kube-proxy themselves are text, whose meaning only they know."""
    flag = BY_NAME.get(name)
    return text if flag is None else values.as_json(flag.kind, values.read(flag.kind, text))


def _named(gate: str) -> str:
    """The gate by its digest: its text says nothing to those who read a spec."""
    return f"sha256:{hashlib.sha256(gate.encode()).hexdigest()}"


def _command(config: SchedulerConfig, digests: Mapping[str, str], gate: str) -> Json:
    """The gate checks km and becomes it. A file:///path lies on the agent; any other URI Mesos fetches as `km`."""
    uri = without_digest(config.artifacts[config.km_flag])
    path = uri.removeprefix("file://") if uri.startswith("file:") else f"./{FETCHED_NAME}"
    checked = [INTERPRETER, "-c", gate, digests[config.km_flag], path]
    command: Json = {
        "shell": False,
        "value": INTERPRETER,
        "arguments": [*checked, EXECUTOR, *_arguments(config, digests)],
    }
    if not uri.startswith("file:"):
        command["uris"] = [{"value": uri, "executable": True, "extract": False, "output_file": FETCHED_NAME}]
    return command


def _arguments(config: SchedulerConfig, digests: Mapping[str, str]) -> list[str]:
    """The executor's command line, sorted by name. It fetches the other programs itself, so it has their digests."""
    uris = {name: with_digest(uri, digests[name]) for name, uri in config.artifacts.items() if name in digests}
    return [f"--{name}={uris.get(name, text)}" for name, text in config.executor_flags.items()]
