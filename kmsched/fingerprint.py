"""The executor spec, its fingerprint, and the ExecutorInfo that follows from it.

Knows which settings Mesos compares between executors, and their one canonical form.  Equal settings give equal
bytes on every machine.  It does not know offers, agents or the framework id's origin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kmsched import flags
from kmsched.config import SchedulerConfig

SCHEMA = 1
NAME = "km executor"
SOURCE = "kubernetes"
FETCHED_COMMAND = "./km"
ID_PREFIX = "km-"
ID_DIGITS = 16

Json = dict[str, Any]


def executor_spec(config: SchedulerConfig) -> Json:
    """All that makes two executors different, as plain JSON values."""
    return {
        "schema": SCHEMA,
        "flags": dict(config.spec_flags),
        "executor": {
            "type": "CUSTOM",
            "name": NAME,
            "source": SOURCE,
            "command": _command(config),
            "resources": _resources(config),
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


def executor_info(config: SchedulerConfig, framework_id: str) -> Json:
    """The ExecutorInfo of Mesos' v1 JSON API. Every task on an agent must carry exactly this."""
    return {
        "type": "CUSTOM",
        "executor_id": {"value": executor_id(executor_spec(config))},
        "framework_id": {"value": framework_id},
        "name": NAME,
        "source": SOURCE,
        "command": _command(config),
        "resources": _resources(config),
        "shutdown_grace_period": {"nanoseconds": round(config.executor_shutdown_grace_period_s * 1_000_000_000)},
    }


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two specs, in words: flags by name, the rest by its place."""
    found = [
        f"--{name}: {_spoken(ours['flags'].get(name))} here, {_spoken(theirs['flags'].get(name))} there"
        for name in sorted({*ours["flags"], *theirs["flags"]})
        if ours["flags"].get(name) != theirs["flags"].get(name)
    ]
    if not found and canonical(ours) != canonical(theirs):
        found = [
            f"executor {part}"
            for part in sorted({*ours["executor"], *theirs["executor"]})
            if ours["executor"].get(part) != theirs["executor"].get(part)
        ] or ["schema"]
    return tuple(found)


def _spoken(text: str | None) -> str:
    return "not set" if text is None else repr(text)


def _command(config: SchedulerConfig) -> Json:
    """Files named by file:///path lie on the agent; the others are fetched into the sandbox, km as `km`."""
    path = config.km_path.removeprefix("file://")
    is_on_agent = path != config.km_path
    value = path if is_on_agent else FETCHED_COMMAND
    uris: list[Json] = []
    if not is_on_agent:
        uris.append({"value": config.km_path, "executable": True, "extract": False, "output_file": "km"})
    kubelet = config.spec_flags.get("kubelet-path", "file:")
    if not kubelet.startswith("file:"):
        uris.append({"value": kubelet, "executable": True, "extract": False})
    command: Json = {"shell": False, "value": value, "arguments": [value, "executor", *_arguments(config)]}
    if uris:
        command["uris"] = uris
    return command


def _arguments(config: SchedulerConfig) -> list[str]:
    """The executor's command line, sorted by name: only what `km executor` knows, and kubelet's own flags."""
    known = {flag.name for flag in flags.FLAGS}
    accepted = {flag.name for flag in flags.flags_of(flags.EXECUTOR)}
    return [
        f"--{name}={text}" for name, text in sorted(config.spec_flags.items()) if name in accepted or name not in known
    ]


def _resources(config: SchedulerConfig) -> list[Json]:
    return [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": config.executor_cpus_milli / 1000}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": float(config.executor_mem_mib)}},
    ]
