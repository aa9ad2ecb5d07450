from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from kmsched.clients import kube_pods
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.errors import (
    Conflict,
    Invalid,
    KmError,
)
from tests.clients.fakes import FakeClock, HandlerTransport, Reply


def rig(
    handler: Callable[[Request], Reply], *servers: str, token: str | None = None
) -> tuple[KubeClient, HandlerTransport]:
    transport = HandlerTransport(handler)
    access = KubeAccess(servers or ("https://a:6443",), TlsSettings(), "km-user", token=token)
    return KubeClient(access, make_transport=lambda tls: transport, clock=FakeClock()), transport


def ok(body: object) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, (json.dumps(body).encode(),))


def sent(transport: HandlerTransport) -> tuple[str, str, object, str | None]:
    (request,) = transport.requests
    path = request.url.removeprefix("https://a:6443")
    return request.method, path, json.loads(request.body or b"null"), request.headers.get("content-type")


def test_bind() -> None:
    kube, transport = rig(lambda request: Reply(201, (b'{"kind":"Status","status":"Success"}',)))
    asyncio.run(
        kube_pods.bind(kube, "ns", "p", uid="u", resource_version="7", node_name="agent1", annotations={"k/a": "v"})
    )
    assert sent(transport) == (
        "POST",
        "/api/v1/namespaces/ns/pods/p/binding",
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": "p",
                "namespace": "ns",
                "uid": "u",
                "resourceVersion": "7",
                "annotations": {"k/a": "v"},
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": "agent1"},
        },
        "application/json",
    )


def test_delete_pod_names_the_very_pod_and_its_grace() -> None:
    kube, transport = rig(ok({}))
    asyncio.run(kube_pods.delete_pod(kube, "ns", "p", uid="u", grace_s=7))
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u"},
        "gracePeriodSeconds": 7,
    }
    assert sent(transport) == ("DELETE", "/api/v1/namespaces/ns/pods/p", options, "application/json")


def test_annotations_are_merged_under_preconditions() -> None:
    kube, transport = rig(ok({}))
    asyncio.run(
        kube_pods.patch_pod_annotations(
            kube, "ns", "p", uid="u", resource_version="7", annotations={"a/b": "1", "gone": None}
        )
    )
    body = {"metadata": {"uid": "u", "resourceVersion": "7", "annotations": {"a/b": "1", "gone": None}}}
    assert sent(transport) == (
        "PATCH",
        "/api/v1/namespaces/ns/pods/p",
        body,
        "application/merge-patch+json",
    )


def test_annotations_can_be_changed_only_from_a_known_value() -> None:
    kube, transport = rig(ok({}))
    asyncio.run(
        kube_pods.patch_pod_annotations(
            kube,
            "ns",
            "p",
            uid="u",
            resource_version="7",
            annotations={"a/b~": "1", "gone": None},
            test_annotation=("a/b~", "0"),
        )
    )
    _, _, body, content_type = sent(transport)
    assert content_type == "application/json-patch+json"
    assert body == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/annotations/a~1b~0", "value": "0"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/metadata/annotations/a~1b~0", "value": "1"},
        {"op": "remove", "path": "/metadata/annotations/gone"},
    ]


@pytest.mark.parametrize(
    ("said", "tested", "kind"),
    [
        ("the server rejected our request due to an error in our request", ("k", "old"), Conflict),
        ('Pod "p" is invalid: metadata.uid: Invalid value: "u": field is immutable', None, Conflict),
        ('Pod "p" is invalid: metadata.annotations: too long', None, Invalid),
    ],
)
def test_an_unmet_precondition_of_a_patch_is_a_conflict(
    said: str, tested: tuple[str, str] | None, kind: type[KmError]
) -> None:
    kube, _ = rig(lambda request: Reply(422, (json.dumps({"message": said}).encode(),)))
    with pytest.raises(KmError) as caught:
        asyncio.run(
            kube_pods.patch_pod_annotations(
                kube, "ns", "p", uid="u", resource_version="7", annotations={"a": "1"}, test_annotation=tested
            )
        )
    assert type(caught.value) is kind
    assert said in str(caught.value)
    if tested:
        assert str(caught.value).endswith("what was expected: uid u, version 7, k='old'")


def test_events_are_created_and_repeated() -> None:
    kube, transport = rig(ok({}))
    involved = kube_pods.pod_reference("ns", "p", "u")

    async def scenario() -> None:
        await kube_pods.create_event(
            kube,
            name="p.1",
            namespace="ns",
            involved=involved,
            type_="Warning",
            reason="FailedScheduling",
            message="0/1 agents",
            component="km-scheduler",
            now_s=0.0,
        )
        await kube_pods.repeat_event(kube, name="p.1", namespace="ns", message="m", count=2, now_s=61.5)

    asyncio.run(scenario())
    created, repeated = transport.requests
    body = json.loads(created.body or b"")
    assert created.url.endswith("/api/v1/namespaces/ns/events")
    assert (body["involvedObject"], body["firstTimestamp"], body["count"]) == (
        involved,
        "1970-01-01T00:00:00Z",
        1,
    )
    assert repeated.url.endswith("/api/v1/namespaces/ns/events/p.1")
    assert json.loads(repeated.body or b"") == {
        "message": "m",
        "count": 2,
        "lastTimestamp": "1970-01-01T00:01:01Z",
    }


def test_read_pod_escapes_names() -> None:
    kube, transport = rig(ok({"kind": "Pod"}))
    asyncio.run(kube_pods.read_pod(kube, "ns", "a/../b"))
    assert sent(transport)[1] == "/api/v1/namespaces/ns/pods/a%2F..%2Fb"
