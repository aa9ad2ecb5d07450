"""Writes on pods: order for each pod, bounded side by side, and what each answer means for the core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request, Response
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.core.effects import RegisterNode, RemoveNode
from kmsched.core.events import (
    AdoptFailed,
    AdoptRefused,
    BindFailed,
    BindRefused,
    Event,
    PodAdopted,
    PodBound,
    PodChanged,
    PodDeleted,
)
from kmsched.core.model import Pod
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.to_kube import MAX_CALLS_AT_ONCE, NodeWrite, PodWrite, ToKube
from kmsched.errors import Unavailable
from kmsched.wire.kube import decode_pod
from tests.clients.fakes import FakeClock, HandlerTransport, Reply
from tests.daemon.values import adopt, bind, pod_json

ACCESS = KubeAccess(servers=("http://api:8080",), tls=TlsSettings(), user="test")


def ok(content: object, status: int = 200) -> Reply:
    return Reply(status, [json.dumps(content).encode()])


def no(status: int, message: str) -> Reply:
    return ok({"kind": "Status", "message": message, "code": status}, status)


def run(handler: Callable[[Request], Reply], *effects: PodWrite | NodeWrite) -> tuple[list[Event], HandlerTransport]:
    """What was reported of the effects, and the transport that saw them."""
    transport = HandlerTransport(handler)
    reported: list[Event] = []

    async def scenario() -> None:
        clock = FakeClock()
        kube = KubeClient(ACCESS, make_transport=lambda _: transport, clock=clock)
        async with asyncio.TaskGroup() as group:
            outlet = ToKube(
                kube, decode_pod, spawn=group.create_task, report=reported.append, metrics=Metrics(), clock=clock
            )
            for effect in effects:
                if isinstance(effect, RegisterNode | RemoveNode):
                    outlet.put_node(effect)
                else:
                    outlet.put(effect)

    asyncio.run(scenario())
    return reported, transport


def decoded(**fields: str) -> Pod:
    return decode_pod(pod_json(**fields))


def test_a_binding_that_is_made_is_told() -> None:
    reported, transport = run(lambda _: ok({}, 201), bind())
    assert reported == [PodBound("default/web", "uid-web", "uid-web.1.1")]
    (request,) = transport.requests
    assert request.url == "http://api:8080/api/v1/namespaces/default/pods/web/binding"
    assert request.body is not None
    metadata = json.loads(request.body)["metadata"]
    assert metadata["uid"] == "uid-web"
    assert metadata["resourceVersion"] == "7"
    assert metadata["annotations"] == {"k8s.mesosphere.io/taskId": "uid-web.1.1"}


def test_after_a_conflict_the_pod_is_read_and_told_before_the_refusal() -> None:
    bound_elsewhere = pod_json(node="node-9", task_id="uid-web.9.9")

    def handler(request: Request) -> Reply:
        return no(409, "already assigned") if request.method == "POST" else ok(bound_elsewhere)

    reported, _ = run(handler, bind())
    assert reported[0] == PodChanged(decode_pod(bound_elsewhere))
    assert isinstance(reported[1], BindRefused)
    assert "already assigned" in reported[1].reason
    assert len(reported) == 2


def test_a_conflict_with_our_own_earlier_write_is_success() -> None:
    ours = pod_json(node="node-1", task_id="uid-web.1.1")

    def handler(request: Request) -> Reply:
        return no(409, "already assigned") if request.method == "POST" else ok(ours)

    reported, _ = run(handler, bind())
    assert reported == [PodChanged(decode_pod(ours)), PodBound("default/web", "uid-web", "uid-web.1.1", "8")]


def test_a_pod_that_is_gone_is_told_as_deleted_before_the_refusal() -> None:
    reported, _ = run(lambda _: no(404, "not found"), bind())
    assert reported[0] == PodDeleted("default/web", "uid-web")
    assert isinstance(reported[1], BindRefused)


def test_a_namesake_of_a_deleted_pod_is_another_pod() -> None:
    namesake = pod_json(uid="uid-other")

    def handler(request: Request) -> Reply:
        return no(409, "uid mismatch") if request.method == "POST" else ok(namesake)

    reported, _ = run(handler, bind())
    assert reported[:2] == [PodDeleted("default/web", "uid-web"), PodChanged(decode_pod(namesake))]
    assert isinstance(reported[2], BindRefused)


@pytest.mark.parametrize(
    "answer", [no(500, "etcd"), no(429, "later"), no(403, "no rights"), Reply(200, [Unavailable("broke")])]
)
def test_whatever_leaves_the_outcome_open_may_be_tried_again(answer: Reply) -> None:
    reported, _ = run(lambda _: answer, bind(), adopt("db"))
    assert {type(each) for each in reported} == {BindFailed, AdoptFailed}


def test_a_refusal_whose_pod_cannot_be_read_is_left_open() -> None:
    reported, _ = run(lambda request: no(409 if request.method == "POST" else 503, "no"), bind())
    assert [type(each) for each in reported] == [BindFailed]


def test_an_answer_that_is_no_pod_is_left_open() -> None:
    reported, _ = run(lambda request: no(409, "no") if request.method == "POST" else ok(["x"]), bind())
    assert [type(each) for each in reported] == [BindFailed]


def test_an_adoption_tests_the_old_task_and_is_told() -> None:
    reported, transport = run(lambda _: ok(pod_json()), adopt())
    assert reported == [PodAdopted("default/web", "uid-web", "uid-web.2.1")]
    assert transport.requests[0].body is not None
    operations = json.loads(transport.requests[0].body)
    assert operations[0] == {"op": "test", "path": "/metadata/uid", "value": "uid-web"}
    assert operations[1]["value"] == "uid-web.1.1"


def test_an_adoption_of_a_pod_without_annotation_is_guarded_by_its_version() -> None:
    reported, transport = run(lambda _: ok(pod_json()), adopt(old=""))
    assert isinstance(reported[0], PodAdopted)
    assert transport.requests[0].body is not None
    assert json.loads(transport.requests[0].body)["metadata"] == {
        "uid": "uid-web",
        "resourceVersion": "7",
        "annotations": {"k8s.mesosphere.io/taskId": "uid-web.2.1"},
    }


def test_a_refused_adoption_is_told_after_the_pod() -> None:
    def handler(request: Request) -> Reply:
        return no(422, "test failed") if request.method == "PATCH" else ok(pod_json(task_id="uid-web.5.5"))

    reported, _ = run(handler, adopt())
    assert reported[0] == PodChanged(decoded(task_id="uid-web.5.5"))
    assert isinstance(reported[1], AdoptRefused)


def test_writes_on_one_pod_keep_their_order_while_others_go_on() -> None:
    class Gated(HandlerTransport):
        """The first write on `web` is answered only when every write on `db` was."""

        def __init__(self) -> None:
            super().__init__(lambda _: ok({}))
            self.seen: list[str] = []
            self.db_is_done = asyncio.Event()

        async def call(self, request: Request, *, deadline_s: float) -> Response:
            self.seen.append(f"{request.method} {request.url.rpartition('/pods/')[2]}")
            if "/db/" in request.url:
                self.db_is_done.set()
            await self.db_is_done.wait()
            return Response(200, {}, b"{}")

    reported: list[Event] = []
    gated = Gated()

    async def scenario() -> None:
        clock = FakeClock()
        kube = KubeClient(ACCESS, make_transport=lambda _: gated, clock=clock)
        async with asyncio.TaskGroup() as group:
            outlet = ToKube(
                kube, decode_pod, spawn=group.create_task, report=reported.append, metrics=Metrics(), clock=clock
            )
            for effect in (bind(), adopt(), bind("db", "uid-db.1.1")):
                outlet.put(effect)

    asyncio.run(scenario())
    assert gated.seen == ["POST web/binding", "POST db/binding", "PATCH web"]
    assert [type(each) for each in reported if getattr(each, "key", "") == "default/web"] == [PodBound, PodAdopted]


def test_only_so_many_writes_are_under_way_at_once() -> None:
    under_way, most = 0, 0

    class Counting(HandlerTransport):
        async def call(self, request: Request, *, deadline_s: float) -> Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return Response(201, {}, b"{}")

    transport = Counting(lambda _: ok({}))
    reported: list[Event] = []

    async def scenario() -> None:
        clock = FakeClock()
        kube = KubeClient(ACCESS, make_transport=lambda _: transport, clock=clock)
        async with asyncio.TaskGroup() as group:
            outlet = ToKube(
                kube, decode_pod, spawn=group.create_task, report=reported.append, metrics=Metrics(), clock=clock
            )
            for number in range(3 * MAX_CALLS_AT_ONCE):
                outlet.put(bind(f"p{number}", f"uid-p{number}.1.1"))

    asyncio.run(scenario())
    assert most == MAX_CALLS_AT_ONCE
    assert len(reported) == 3 * MAX_CALLS_AT_ONCE


def test_a_full_outlet_refuses_instead_of_waiting() -> None:
    reported: list[Event] = []
    kube = KubeClient(ACCESS, make_transport=lambda _: HandlerTransport(lambda _: ok({})), clock=FakeClock())

    def never(work: Coroutine[None, None, None]) -> None:
        work.close()

    outlet = ToKube(
        kube,
        decode_pod,
        spawn=never,
        report=reported.append,
        metrics=Metrics(),
        clock=FakeClock(),
        max_waiting=1,
    )
    outlet.put(bind())
    outlet.put(bind("db", "uid-db.1.1"))
    assert reported == [BindFailed("default/db", "uid-db", "uid-db.1.1", "1 writes to Kubernetes wait already")]


REGISTER = RegisterNode("h1", "A1", "F", (("kubernetes.io/hostname", "h1"),), cause="registration", reason="it offers")
REMOVE = RemoveNode("h1", "n1", "7", cause="registration", reason="its executor has left")


def test_a_node_is_made_once() -> None:
    reported, transport = run(lambda _: no(409, 'nodes "h1" already exists'), REGISTER)
    assert reported == []
    [request] = transport.requests
    assert (request.method, request.url) == ("POST", "http://api:8080/api/v1/nodes")


def test_a_node_is_deleted_only_after_the_api_server_said_that_no_pod_is_bound_to_it() -> None:
    def answers(*pods: str) -> Callable[[Request], Reply]:
        items = [pod_json(name, node="h1") for name in pods]
        return lambda request: ok({"items": items} if request.method == "GET" else {})

    _, transport = run(answers(), REMOVE)
    assert [request.method for request in transport.requests] == ["GET", "DELETE"]
    assert json.loads(transport.requests[1].body or b"")["preconditions"] == {"uid": "n1", "resourceVersion": "7"}
    _, transport = run(answers("web"), REMOVE)
    assert [request.method for request in transport.requests] == ["GET"]


@pytest.mark.parametrize("status", [403, 409, 404, 503])
def test_what_becomes_of_nodes_ends_nothing(status: int) -> None:
    reported, _ = run(lambda _: no(status, "no"), REMOVE, REGISTER)
    assert reported == []
