"""Requests to the API server as the rights that they need: what an authorizer would be asked."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from kmsched.clients.http import Request
from kmsched.clients.kube_rights import Right

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: (group, resource) that everybody may use who is authenticated
EVERYBODYS = frozenset({("authorization.k8s.io", "selfsubjectaccessreviews")})

#: verb, group, resource with subresource, namespace and name if the right is for one object only
Call = tuple[str, str, str, str, str]


def call(request: Request) -> Call | None:
    """None: no resource is asked for, or one that is everybody's."""
    parts = urlsplit(request.url)
    first, *rest = parts.path.strip("/").split("/")
    if first not in ("api", "apis"):
        return None
    group, rest = ("", rest[1:]) if first == "api" else (rest[0], rest[2:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, *sub = [*rest, ""] if len(rest) < 2 else rest
    if (group, resource) in EVERYBODYS:
        return None
    verb = VERBS.get(request.method) or ("get" if name else "list")
    if verb == "list" and parse_qs(parts.query).get("watch") == ["1"]:
        verb = "watch"
    return verb, group, "/".join([resource, *sub]), namespace, name


def calls(requests: Iterable[Request], granted: Iterable[Right]) -> set[Call]:
    """What was asked for; namespace and name are left out unless a right is for just that."""
    own = {(right.group, right.resource, right.namespace, right.name) for right in granted}
    found = set()
    for each in (call(request) for request in requests):
        if each is not None:
            verb, group, resource, namespace, name = each
            exact = [(namespace, name), (namespace, ""), ("", "")]
            where = next(each for each in exact if (group, resource, *each) in own or each == ("", ""))
            found.add((verb, group, resource, *where))
    return found


def as_calls(granted: Iterable[Right]) -> set[Call]:
    return {(each.verb, each.group, each.resource, each.namespace, each.name) for each in granted}
