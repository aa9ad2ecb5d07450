"""The options of `km_scheduler_flags` in the scheduler role's argument specs, made of the table of flags.

Knows which flags the role writes itself, and which are a host's own; Ansible refuses any other name before it starts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from kmsched.flags import SCHEDULER, Flag, flags_of
from kmsched.values import Kind

SPECS = Path("roles") / "km_scheduler" / "meta" / "argument_specs.yml"
BEGIN, END = "          # flags: made by docs/role_flags.py", "          # end of flags"
#: other variables of the role say these
OWN = frozenset({"kubeconfig", "state-dir"})
PER_HOST = frozenset({"address", "port", "hostname-override", "ha-instance", "ha-url"})
#: these have no other form than a bare word in YAML
TYPES = {Kind.BOOL: "bool", Kind.INT: "int", Kind.LIST: "list", Kind.ADDRESSES: "list"}


def written() -> tuple[Flag, ...]:
    """The flags that `km_scheduler_flags` may hold."""
    return tuple(flag for flag in flags_of(SCHEDULER) if flag.name not in OWN | PER_HOST)


def with_options(text: str) -> str:
    """`text` with new options between the marks. ValueError if they are not there."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"{SPECS} lacks the lines {BEGIN!r} and {END!r}")
    return "".join(
        [before, begin, *(f"          {line}\n" for flag in written() for line in _option(flag)), end, after]
    )


def _option(flag: Flag) -> Iterator[str]:
    kind = TYPES.get(flag.kind, "str")
    yield f"{flag.key}:"
    yield f"  description: {json.dumps(flag.help, ensure_ascii=False)}"
    yield f"  type: {kind}"
    if kind == "list":
        yield "  elements: str"
    if flag.choices:
        yield f"  choices: [{', '.join(flag.choices)}]"
    # what agents run is the role's to say, unless it is told
    if flag.required and not flag.unless:
        yield "  required: true"
