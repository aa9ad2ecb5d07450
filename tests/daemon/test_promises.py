"""Leases of Nodes without a kubelet: who is spoken for, how often, and what a failure costs."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.core.events import NodesListed
from kmsched.core.model import Node
from kmsched.core.resources import NO_COUNTS
from kmsched.core.state import Link
from kmsched.core.step import step
from kmsched.daemon.core import Core
from kmsched.daemon.promises import RENEW_S, keep_promises
from kmsched.daemon.repeats import Repeats
from tests.clients.fakes import FakeClock, HandlerTransport, Reply
from tests.core.test_nodes import ALL
from tests.core.values import SETTINGS


class Enough(Exception):
    """Ends the loop."""


def promise(name: str) -> Node:
    return Node(name, NO_COUNTS, is_ready=True, agent_id="A", framework_id="F", uid=f"uid-{name}", is_promised=True)


def renewed(turns: list[list[Node]], status: int = 200) -> tuple[list[str], list[float]]:
    """The requests, and the pauses between turns."""
    left, seen = list(turns), []

    def answer(request: Request) -> Reply:
        seen.append(f"{request.method} {request.url.rpartition('/')[2]}")
        return Reply(status, [b"{}"])

    def promised() -> list[Node]:
        if not left:
            raise Enough
        return left.pop(0)

    clock = FakeClock()
    access = KubeAccess(("https://a:6443",), TlsSettings(), "km")
    kube = KubeClient(access, make_transport=lambda _: HandlerTransport(answer), clock=clock)
    with pytest.raises(Enough):
        asyncio.run(keep_promises(kube, promised, Repeats(clock), clock))
    return seen, clock.slept


def test_each_is_renewed_in_each_turn() -> None:
    seen, slept = renewed([[promise("h1"), promise("h2")], [], [promise("h2")]])
    assert seen == ["PATCH h1", "PATCH h2", "PATCH h2"]
    assert slept == [RENEW_S] * 3


def test_a_failure_is_told_and_the_others_are_renewed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    seen, _ = renewed([[promise("h1"), promise("h2")]], status=503)
    assert len(seen) == 2
    assert "Node h1, which has no kubelet yet, is not spoken for" in caplog.text


@pytest.mark.parametrize(
    ("link", "registers_all", "expected"),
    [
        (Link.ACTIVE, True, ["h1"]),
        (Link.ACTIVE, False, []),
        (Link.RECONCILING, True, []),
        (Link.DISCONNECTED, True, []),
    ],
)
def test_only_a_leader_speaks_and_only_for_its_own(link: Link, registers_all: bool, expected: list[str]) -> None:
    core = Core(ALL if registers_all else SETTINGS, 1, step)
    nodes = (
        promise("h1"),
        Node("h2", NO_COUNTS, is_ready=True, agent_id="A", framework_id="F", boot_id="b"),
        Node("h3", NO_COUNTS, is_ready=True, agent_id="A", framework_id="another", is_promised=True),
        Node("h4", NO_COUNTS, is_ready=True),
    )
    core.step(NodesListed(nodes), 0.0)
    core.state.registration.framework_id = "F"
    core.state.link = link
    assert [node.name for node in core.promised_nodes()] == expected
