"""What the rules that pods make about Nodes mean: required node affinity and tolerations, as Kubernetes reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kmsched.core.model import NodeTerm, Requirement, Taint, Toleration

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_INT64_MAX = 2**63 - 1


def is_met(term: NodeTerm, labels: Mapping[str, str], node_name: str) -> bool:
    """Do all requirements of the term hold?  One that cannot be understood does not hold; an empty term never does."""
    if not term.labels and not term.fields:
        return False
    for rule in term.labels:
        if not _holds(rule, labels.get(rule.key)):
            return False
    for rule in term.fields:
        if rule.key != "metadata.name" or rule.operator not in ("In", "NotIn") or len(rule.values) != 1:
            return False
        if (node_name in rule.values) is (rule.operator == "NotIn"):
            return False
    return True


def is_tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    for one in tolerations:
        if one.effect and one.effect != taint.effect:
            continue
        if one.key and one.key != taint.key:
            continue
        if one.operator == "Exists" or (one.operator in ("Equal", "") and one.value == taint.value):
            return True
    return False


def _holds(rule: Requirement, value: str | None) -> bool:
    match rule.operator:
        case "In":
            return value is not None and value in rule.values
        case "NotIn":
            return bool(rule.values) and (value is None or value not in rule.values)
        case "Exists":
            return value is not None and not rule.values
        case "DoesNotExist":
            return value is None and not rule.values
        case "Gt" | "Lt":
            if value is None or len(rule.values) != 1:
                return False
            have, bound = _integer(value), _integer(rule.values[0])
            if have is None or bound is None:
                return False
            return have > bound if rule.operator == "Gt" else have < bound
        case _:
            return False


def _integer(text: str) -> int | None:
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -_INT64_MAX - 1 <= number <= _INT64_MAX else None
