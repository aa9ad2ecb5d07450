"""Which terms of a node affinity can be read."""

from __future__ import annotations

import pytest

from kmsched.core.affinity import is_readable
from kmsched.core.model import NodeTerm, Requirement


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Requirement("zone", "In", ("a", "")), True),
        (Requirement("example.com/zone", "NotIn", ("a",)), True),
        (Requirement("zone", "Exists"), True),
        (Requirement("zone", "DoesNotExist"), True),
        (Requirement("slots", "Gt", ("7",)), True),
        (Requirement("slots", "Lt", (str(2**63 - 1),)), True),
        (Requirement("zone", "In"), False),
        (Requirement("zone", "NotIn"), False),
        (Requirement("zone", "Exists", ("a",)), False),
        (Requirement("zone", "DoesNotExist", ("a",)), False),
        (Requirement("slots", "Gt", ("x",)), False),
        (Requirement("slots", "Gt", ("1.5",)), False),
        (Requirement("slots", "Gt", ()), False),
        (Requirement("slots", "Gt", ("1", "2")), False),
        (Requirement("slots", "Lt", (str(2**63),)), False),
        (Requirement("slots", "Lt", ("-9",)), False),  # no value of a label begins so
        (Requirement("zone", "Resembles", ("a",)), False),
        (Requirement("zone", "in", ("a",)), False),
        (Requirement("zone", "NotIn", ("a b",)), False),
        (Requirement("zone", "NotIn", ("x" * 64,)), False),
        (Requirement("", "Exists"), False),
        (Requirement("a/b/c", "DoesNotExist"), False),
        (Requirement("/zone", "DoesNotExist"), False),
        (Requirement("Example.com/zone", "DoesNotExist"), False),
        (Requirement("x" * 64, "DoesNotExist"), False),
    ],
)
def test_a_requirement_on_a_label(rule: Requirement, expected: bool) -> None:
    assert is_readable(NodeTerm(labels=(rule,))) is expected
    assert is_readable(NodeTerm(labels=(Requirement("zone", "Exists"), rule))) is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Requirement("metadata.name", "In", ("a",)), True),
        (Requirement("metadata.name", "NotIn", ("",)), True),
        (Requirement("metadata.name", "In", ("a", "b")), False),
        (Requirement("metadata.name", "In"), False),
        (Requirement("metadata.name", "Exists"), False),
    ],
)
def test_a_requirement_on_a_field(rule: Requirement, expected: bool) -> None:
    assert is_readable(NodeTerm(fields=(rule,))) is expected
