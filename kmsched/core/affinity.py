"""What the rules that pods make about Nodes mean: node affinity and tolerations, as kube-scheduler reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kmsched.core import labels as label
from kmsched.core.model import NodeTerm, Requirement, Taint, Toleration

NAME_FIELD = "metadata.name"
#: leading zeros are no reason to refuse a number
_INTEGER = re.compile(r"[+-]?[0-9]{1,63}", re.ASCII)
_INT64_MAX = 2**63 - 1


def is_met(term: NodeTerm, labels: Mapping[str, str], node_name: str) -> bool:
    """Do all requirements of a term that `is_readable` hold?  An empty one never does."""
    if not term.labels and not term.fields:
        return False
    for rule in term.labels:
        if not _holds(rule, labels.get(rule.key)):
            return False
    for rule in term.fields:
        # a Node has no other field
        value = node_name if rule.key == NAME_FIELD else ""
        if (value == rule.values[0]) is (rule.operator == "NotIn"):
            return False
    return True


def is_readable(term: NodeTerm) -> bool:
    """A term with one requirement that is not holds nowhere, whatever its others say."""
    return all(_is_sound(rule) for rule in term.labels) and all(
        rule.operator in ("In", "NotIn") and len(rule.values) == 1 for rule in term.fields
    )


def is_tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Lt and Gt tolerate nothing: their feature gate is off in 1.37."""
    for one in tolerations:
        if one.effect and one.effect != taint.effect:
            continue
        if one.key and one.key != taint.key:
            continue
        if one.operator == "Exists" or (one.operator in ("Equal", "") and one.value == taint.value):
            return True
    return False


def _is_sound(rule: Requirement) -> bool:
    if not label.is_key(rule.key) or not all(map(label.is_value, rule.values)):
        return False
    match rule.operator:
        case "In" | "NotIn":
            return bool(rule.values)
        case "Exists" | "DoesNotExist":
            return not rule.values
        case "Gt" | "Lt":
            return len(rule.values) == 1 and _integer(rule.values[0]) is not None
        case _:
            return False


def _holds(rule: Requirement, value: str | None) -> bool:
    match rule.operator:
        case "In":
            return value is not None and value in rule.values
        case "NotIn":
            return value is None or value not in rule.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            have, bound = None if value is None else _integer(value), _integer(rule.values[0])
            if have is None or bound is None:
                return False
            return have > bound if rule.operator == "Gt" else have < bound


def _integer(text: str) -> int | None:
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -_INT64_MAX - 1 <= number <= _INT64_MAX else None
