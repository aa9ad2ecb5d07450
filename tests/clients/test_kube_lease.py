from __future__ import annotations

import asyncio
import json

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.kube_lease import CLOCKS_S, living_scheduler
from kmsched.errors import Forbidden, ProtocolError
from tests.clients.fakes import FakeClock, HandlerTransport, Reply

#: 2026-01-01T00:00:00Z
NEW_YEAR_S = 1767225600.0


def holder(reply: Reply, now_s: float = NEW_YEAR_S) -> str:
    transport = HandlerTransport(lambda _: reply)
    access = KubeAccess(("https://a:6443",), TlsSettings(), "km")
    kube = KubeClient(access, make_transport=lambda _: transport, clock=FakeClock())
    found = asyncio.run(living_scheduler(kube, now_s))
    [request] = transport.requests
    assert request.url == ("https://a:6443/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler")
    return found


def lease(**spec: object) -> Reply:
    return Reply(200, [json.dumps({"kind": "Lease", "spec": spec}).encode()])


def held(renewed: str, duration_s: int | None = 15) -> Reply:
    return lease(holderIdentity="cp-1_42", leaseDurationSeconds=duration_s, renewTime=renewed)


@pytest.mark.parametrize(
    ("age_s", "duration_s", "is_alive"),
    [
        (0, 15, True),
        (15 + CLOCKS_S - 1, 15, True),
        (15 + CLOCKS_S, 15, False),
        (3600, 15, False),
        (19, None, True),
        (20, None, False),
        (-3, 15, True),
    ],
)
def test_one_that_renews_its_lease_is_alive(age_s: float, duration_s: int | None, is_alive: bool) -> None:
    reply = held("2026-01-01T00:00:00.000000Z", duration_s)
    assert holder(reply, NEW_YEAR_S + age_s) == ("cp-1_42" if is_alive else "")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, [b'{"message":"not found"}']),
        lease(),
        lease(holderIdentity="", renewTime="2026-01-01T00:00:00Z"),
        lease(holderIdentity="cp-1"),
        Reply(200, [b"{}"]),
    ],
)
def test_a_lease_that_nobody_holds(reply: Reply) -> None:
    assert holder(reply) == ""


def test_what_is_no_lease_or_may_not_be_read_raises() -> None:
    with pytest.raises(ProtocolError):
        holder(lease(renewTime="soon"))
    with pytest.raises(Forbidden):
        holder(Reply(403, [b"{}"]))
