"""The table of rights against every call that is made: each is recorded, and none is granted that was not seen."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from random import Random

import kmsched
from kmsched.clients import kube_nodes, kube_pods
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.clients.kube_lease import living_scheduler
from kmsched.clients.kube_rights import DEFAULT_SCHEDULER_NAME, RIGHTS, rights, rules
from kmsched.clients.reflector import Reflector
from kmsched.daemon.preflight import await_access
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.doctor import kubernetes, records, versions
from kmsched.wire.kube import decode_node
from tests.clients.fakes import FakeClock, HandlerTransport, Reply, Silence
from tests.clients.kube_calls import as_calls, calls
from tests.doctor.patients import World, found

ACCESS = KubeAccess(("https://api:6443",), TlsSettings(ca_data="CA"), "km")
Made = Callable[[KubeClient], Awaitable[object]]


async def bind(kube: KubeClient) -> None:
    await kube_pods.bind(kube, "ns", "p", uid="u", resource_version="7", node_name="h1", annotations={})


async def patch(kube: KubeClient) -> None:
    await kube_pods.patch_pod_annotations(kube, "ns", "p", uid="u", resource_version="7", annotations={})


async def create_event(kube: KubeClient) -> None:
    about = kube_pods.pod_reference("ns", "p", "u")
    await kube_pods.create_event(
        kube, name="p.1", namespace="ns", involved=about, type_="", reason="", message="", component="", now_s=0.0
    )


async def repeat_event(kube: KubeClient) -> None:
    await kube_pods.repeat_event(kube, name="p.1", namespace="ns", message="m", count=2, now_s=0.0)


#: every function of `kube_pods` that asks an API server; None: only executors call it
CALLS_ON_PODS: dict[str, Made | None] = {
    "read_pod": lambda kube: kube_pods.read_pod(kube, "ns", "p"),
    "bind": bind,
    "delete_pod": None,
    "patch_pod_annotations": patch,
    "create_event": create_event,
    "repeat_event": repeat_event,
}


async def create_node(kube: KubeClient) -> None:
    await kube_nodes.create_node(kube, "h1", agent_id="A1", framework_id="F", labels=())


#: likewise of `kube_nodes`
CALLS_ON_NODES: dict[str, Made] = {
    "create_node": create_node,
    "delete_node": lambda kube: kube_nodes.delete_node(kube, "h1", uid="u", resource_version="7"),
    "renew_lease": lambda kube: kube_nodes.renew_lease(kube, "h1", "n1", 0.0),
    "has_pods": lambda kube: kube_nodes.has_pods(kube, "h1"),
}
#: every module that asks an API server, whose calls are recorded here
ASKING = {
    "clients/kube_lease.py",
    "clients/kube_nodes.py",
    "clients/kube_pods.py",
    "clients/reflector.py",
    "daemon/preflight.py",
    "doctor/kubernetes.py",
    "doctor/records.py",
    "doctor/versions.py",
    "executor/node.py",  # in tests/executor/test_rights.py
}
ASKS = re.compile(r"(?:kube|client)\.(?:request|stream|get|create|patch|delete)\(")
OF_KUBERNETES = re.compile(r"\bKubeClient\b|\banswering\b")
EMPTY = {"metadata": {"resourceVersion": "1"}, "items": []}


def answered(request: Request) -> Reply:
    if request.method == "PATCH" and "/leases/" in request.url:
        return Reply(404, [b"{}"])  # it is made then
    if "watch=1" in request.url:
        return Reply(200, [Silence()])
    return Reply(200, [json.dumps(EMPTY).encode()])


def recorded(made: Iterable[Made]) -> list[Request]:
    transport = HandlerTransport(answered)

    async def scenario() -> None:
        kube = KubeClient(ACCESS, make_transport=lambda _: transport, clock=FakeClock())
        for each in made:
            await each(kube)

    asyncio.run(scenario())
    return transport.requests


def watched(path: str) -> Made:
    async def until_it_watches(kube: KubeClient) -> None:
        reflector = Reflector(kube, path, decode=decode_node, clock=FakeClock(), rng=Random(1))
        async with aclosing(reflector.changes()) as items:
            async for item in items:
                if type(item).__name__ == "Watching":
                    return

    return until_it_watches


async def accessible(kube: KubeClient) -> None:
    clock = FakeClock()
    await await_access(kube, origin="k", readiness=Readiness(clock), repeats=Repeats(clock), clock=clock, rng=Random(1))


def of_the_doctor(folder: Path) -> list[Request]:
    world = World(folder)
    for check in (
        kubernetes.reachable,
        kubernetes.permissions,
        kubernetes.rival,
        records.framework_id,
        versions.versions,
    ):
        found(check, world.subject())
    return [request for request in world.requests if request.url.startswith("https://api")]


def test_the_scheduler_is_granted_what_it_does_and_nothing_else(tmp_path: Path) -> None:
    made = [each for each in (*CALLS_ON_PODS.values(), *CALLS_ON_NODES.values()) if each is not None]
    made += [watched("/api/v1/pods"), watched("/api/v1/nodes"), accessible, lambda kube: living_scheduler(kube, 0.0)]
    requests = recorded(made)
    assert calls([*requests, *of_the_doctor(tmp_path)], RIGHTS) == as_calls(RIGHTS)
    assert len(as_calls(RIGHTS)) == len(RIGHTS)


def test_rights_that_a_scheduler_name_makes_needless() -> None:
    assert rights(DEFAULT_SCHEDULER_NAME, registers_all=True) == RIGHTS
    needless = {str(right) for right in RIGHTS if right not in rights("mesos", registers_all=False)}
    assert needless == {
        "get leases kube-system/kube-scheduler",
        "create nodes",
        "patch leases kube-node-lease/*",
        "create leases kube-node-lease/*",
    }


def test_a_role_has_one_rule_for_each_resource() -> None:
    made = rules(RIGHTS)
    granted = {
        (verb, *rule["apiGroups"], *rule["resources"], *rule.get("resourceNames", [""]))
        for rule in made
        for verb in rule["verbs"]
    }
    assert granted == {(each.verb, each.group, each.resource, each.name) for each in RIGHTS}
    assert len({(*rule["apiGroups"], *rule["resources"], *rule.get("resourceNames", ())) for rule in made}) == len(made)


def test_every_function_and_module_that_asks_is_recorded() -> None:
    for module, recorded_ones in ((kube_pods, set(CALLS_ON_PODS)), (kube_nodes, set(CALLS_ON_NODES))):
        functions = inspect.getmembers(module, inspect.iscoroutinefunction)
        assert {name for name, _ in functions if not name.startswith("_")} == recorded_ones
    root = Path(kmsched.__file__).parent
    texts = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.py")}
    asking = {name for name, text in texts.items() if OF_KUBERNETES.search(text) and ASKS.search(text)}
    assert asking - {"clients/kube.py"} == ASKING
