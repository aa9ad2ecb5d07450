"""ACLs as a master prints them, or as somebody wrote them."""

from __future__ import annotations

import pytest

from kmsched.errors import ProtocolError
from kmsched.wire.mesos_acls import MAX_DEPTH, parse_acls

TEXT = """permissive: false
register_frameworks { principals { values: "a" values: "b\\"c" } roles { type: ANY } }
register_frameworks { principals { type: NONE } roles { values: "closed" } }
run_tasks { principals { type: ANY } users { values: "root" } }
"""
JSON = """{"permissive": false, "register_frameworks": [
  {"principals": {"values": ["a", "b\\"c"]}, "roles": {"type": "ANY"}},
  {"principals": {"type": "NONE"}, "roles": {"values": ["closed"]}}],
 "run_tasks": [{"principals": {"type": "ANY"}, "users": {"values": ["root"]}}]}"""


@pytest.mark.parametrize("text", [TEXT, JSON])
@pytest.mark.parametrize(
    ("action", "principal", "value", "allowed"),
    [
        ("register_frameworks", "a", "anything", True),
        ("register_frameworks", 'b"c', "closed", True),
        ("register_frameworks", "other", "closed", False),
        ("register_frameworks", "other", "open", False),  # no rule, and not permissive
        ("run_tasks", None, "root", True),
        ("run_tasks", "a", "nobody", False),
    ],
)
def test_the_first_rule_that_matches_decides(
    text: str, action: str, principal: str | None, value: str, allowed: bool
) -> None:
    assert parse_acls(text).allow(action, principal, value) is allowed


@pytest.mark.parametrize(
    ("action", "value", "allowed"),
    [
        ("register_frameworks", "prod/web", True),
        ("register_frameworks", "prod/web/a", True),
        ("register_frameworks", "prod", False),  # it is not below itself
        ("register_frameworks", "product/web", False),
        ("register_frameworks", "test", True),
        ("run_tasks", "prod/web", False),  # a user is below nobody
    ],
)
def test_roles_below_a_role(action: str, value: str, allowed: bool) -> None:
    acls = parse_acls("""permissive: false
    register_frameworks { principals { values: "a" } roles { values: "prod/%" values: "test" } }
    run_tasks { principals { type: ANY } users { values: "prod/%" } }""")
    assert acls.allow(action, "a", value) is allowed


@pytest.mark.parametrize("text", ["", "permissive: true", "{}"])
def test_without_rules_everything_is_allowed(text: str) -> None:
    assert parse_acls(text).allow("register_frameworks", None, "*")


@pytest.mark.parametrize(
    "text",
    [
        "}",
        "register_frameworks {",
        "register_frameworks: 3",
        "register_frameworks { principals { } }",
        "a ; b",
        "permissive",
        "{",
        '{"register_frameworks": [3]}',
        "a {" * (MAX_DEPTH + 2),
        '{"a":' + "[" * 100_000,
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="the master's ACLs cannot be read"):
        parse_acls(text)
