"""Access control lists of a Mesos master, as its flag `acls` tells them, and what its local authorizer makes of them.

The master prints them in protobuf's text form, whatever form they were given in; JSON is read, too.  Rules are tried
in order, and the first one whose both sides match decides; if none does, `permissive` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kmsched.errors import ProtocolError

Json = dict[str, Any]
ANY, NONE = "ANY", "NONE"
ROLES = "roles"
#: ends the name of a role
BELOW = "/%"
MAX_DEPTH = 20
_TOKEN = re.compile(r'\s*(?:([{}:])|("(?:[^"\\]|\\.)*")|([A-Za-z0-9_.+-]+))')


@dataclass(frozen=True, slots=True)
class Entity:
    """One side of a rule: everybody (ANY), nobody (NONE), or those named. `are_roles`: "a/%" is all below a."""

    type: str = "SOME"
    values: tuple[str, ...] = ()
    are_roles: bool = False

    def matches(self, value: str) -> bool:
        return self.type in (ANY, NONE) or self._names(value)

    def allows(self, value: str) -> bool:
        return self.type == ANY or (self.type != NONE and self._names(value))

    def _names(self, value: str) -> bool:
        if value in self.values:
            return True
        return self.are_roles and any(each.endswith(BELOW) and value.startswith(each[:-1]) for each in self.values)


@dataclass(frozen=True, slots=True)
class Rule:
    subjects: Entity
    objects: Entity


@dataclass(frozen=True, slots=True)
class Acls:
    """`rules`: action, like register_frameworks -> its rules in order."""

    rules: dict[str, list[Rule]]
    permissive: bool = True

    def allow(self, action: str, principal: str | None, value: str) -> bool:
        """Whether this principal may do `action` with `value`. Without a principal only ANY and NONE speak of us."""
        for rule in self.rules.get(action, ()):
            if rule.subjects.matches(principal or "") and rule.objects.matches(value):
                return rule.subjects.allows(principal or "") and rule.objects.allows(value)
        return self.permissive


#: action -> the field of its rules that says on what
OBJECTS = {"register_frameworks": ROLES, "run_tasks": "users"}


def parse_acls(text: str) -> Acls:
    """ProtocolError: neither JSON nor protobuf's text form."""
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else _message(_tokens(text), 0)
        rules = {
            action: [
                Rule(_entity(each["principals"]), _entity(each[objects], are_roles=objects == ROLES))
                for each in _listed(document, action)
            ]
            for action, objects in OBJECTS.items()
        }
        return Acls(rules, str(_last(document.get("permissive", True))).lower() == "true")
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise ProtocolError(f"the master's ACLs cannot be read: {error!r}; they begin {text[:100]!r}") from error


def _listed(document: Json, name: str) -> list[Json]:
    found = document.get(name, [])
    return found if isinstance(found, list) else [found]


def _entity(found: Any, *, are_roles: bool = False) -> Entity:
    one = _last(found)
    values = one.get("values", [])
    named = tuple(map(str, values if isinstance(values, list) else [values]))
    return Entity(str(_last(one.get("type", "SOME"))), named, are_roles)


def _last(found: Any) -> Any:
    """A field that is not repeated: the last of its values counts."""
    return found[-1] if isinstance(found, list) else found


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text[at : at + 20]!r} at {at}")
        yield match[match.lastindex or 0]
        at = match.end()


def _message(tokens: Iterator[str], depth: int) -> Json:
    """The fields up to the closing bracket, each as a list of its values in order."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    fields: Json = {}
    for name in tokens:
        if name == "}":
            if depth == 0:
                raise ValueError("a bracket too many")
            return fields
        mark = next(tokens)
        if mark == "{":
            value: Any = _message(tokens, depth + 1)
        elif mark == ":":
            word = next(tokens)
            value = json.loads(word) if word.startswith('"') else word
        else:
            raise ValueError(f"{name} {mark}")
        fields.setdefault(name, []).append(value)
    if depth:
        raise ValueError("a bracket is missing")
    return fields
