"""Check of versions: what answers, against the table in `kmsched.compatibility`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from kmsched import compatibility
from kmsched.clients.http import Request
from kmsched.doctor.findings import NOT_CHECKED, Found, NotChecked
from kmsched.doctor.kubernetes import answering
from kmsched.doctor.subject import Subject, named
from kmsched.errors import KmError
from kmsched.wire.typed import UNDECODABLE

DEADLINE_S = 5.0
MAX_NODES = 500
NAME_NODE_BEAN = {"qry": "Hadoop:service=NameNode,name=NameNodeInfo"}

#: (part, version, where it was seen)
Seen = tuple[str, str, str]


async def versions(subject: Subject) -> list[Found]:
    """Of everything that tells its version."""
    answers = await asyncio.gather(*(_asked(subject, part, ask) for part, ask in SOURCES))
    where: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    found = []
    for answer in answers:
        if isinstance(answer, Found):
            found.append(answer)
            continue
        for part, version, place in answer:
            where[part, version].append(place)
    for (part, version), places in sorted(where.items()):
        if words := compatibility.objection(part, version):
            name = compatibility.SUPPORT[part].name
            found.append(Found(f"{name} ({named(sorted(places))}): {words}"))
    return found


async def _asked(subject: Subject, part: str, ask: Callable[[Subject], AsyncIterator[Seen]]) -> list[Seen] | Found:
    try:
        return [each async for each in ask(subject)]
    except KmError as error:
        return Found(f"{NOT_CHECKED}version of {part}: {error}")


async def _mesos(subject: Subject) -> AsyncIterator[Seen]:
    operator = subject.mesos()
    versions = await asyncio.gather(*(_or_none(partial(operator.version, url)) for url in operator.masters))
    for url, version in zip(operator.masters, versions, strict=True):
        if version:
            yield compatibility.MESOS, version, f"master {url}"
    for agent in (await subject.agents.answer()).agents:
        if agent.version:
            yield compatibility.MESOS, agent.version, f"agent {agent.agent_info.hostname}"


async def _or_none(ask: Callable[[], Awaitable[str]]) -> str | None:
    try:
        return await ask()
    except KmError:
        return None


async def _kubernetes(subject: Subject) -> AsyncIterator[Seen]:
    client = await answering(subject)
    told = await client.get("/version")
    yield compatibility.KUBERNETES, str(told.get("gitVersion", "")), client.server


async def _nodes(subject: Subject) -> AsyncIterator[Seen]:
    client = await answering(subject)
    nodes = await client.get("/api/v1/nodes", {"limit": str(MAX_NODES)})
    for node in nodes.get("items") or ():
        info: dict[str, Any] = node.get("status", {}).get("nodeInfo", {})
        name = f"node {node['metadata']['name']}"
        if kubelet := info.get("kubeletVersion"):
            yield compatibility.KUBELET, kubelet, name
        kind, _, runtime = info.get("containerRuntimeVersion", "").partition("://")
        if kind == "containerd":
            yield compatibility.CONTAINERD, runtime, name


async def _hadoop(subject: Subject) -> AsyncIterator[Seen]:
    uris = {uri for _, uri in subject.artifacts() if urlsplit(uri).scheme == "hdfs"}
    for address in sorted({each for uri in uris for each in subject.here.namenodes(uri)}):
        request = Request("GET", f"{address}/jmx?{urlencode(NAME_NODE_BEAN)}", {"accept": "application/json"})
        reply = await subject.plain().call(request, deadline_s=DEADLINE_S)
        if reply.status != 200:
            raise NotChecked(f"{request.host} answered {reply.status}: {reply.text(200)}")
        yield compatibility.HADOOP, _software_version(reply.body, request.host), f"NameNode {address}"


def _software_version(body: bytes, host: str) -> str:
    try:
        beans = msgspec.json.decode(body)["beans"]
        return str(beans[0]["SoftwareVersion"])
    except (*UNDECODABLE, LookupError, TypeError) as error:
        raise NotChecked(f"{host} tells no version: {error!r}") from error


async def _etcd(subject: Subject) -> AsyncIterator[Seen]:
    ha = subject.config.ha
    servers = ha.etcd_servers if ha else ()
    versions = await asyncio.gather(*(_or_none(partial(_etcd_version, subject, each)) for each in servers))
    for endpoint, version in zip(servers, versions, strict=True):
        if version:  # the check of etcd names those that are away
            yield compatibility.ETCD, version, f"member {endpoint}"


async def _etcd_version(subject: Subject, endpoint: str) -> str:
    return (await subject.etcd(endpoint).status()).version


async def _systemd(subject: Subject) -> AsyncIterator[Seen]:
    yield compatibility.SYSTEMD, await asyncio.to_thread(subject.here.systemd_version), "this host"


async def _python(subject: Subject) -> AsyncIterator[Seen]:
    yield compatibility.PYTHON, subject.here.python_version, "this host"


SOURCES: tuple[tuple[str, Callable[[Subject], AsyncIterator[Seen]]], ...] = (
    (compatibility.MESOS, _mesos),
    (compatibility.KUBERNETES, _kubernetes),
    (compatibility.KUBELET, _nodes),
    (compatibility.ETCD, _etcd),
    (compatibility.HADOOP, _hadoop),
    (compatibility.SYSTEMD, _systemd),
    (compatibility.PYTHON, _python),
)
