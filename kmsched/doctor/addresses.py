"""Checks of addresses: what means "this host" here means another one elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from kmsched.doctor.artifacts import host_of
from kmsched.doctor.findings import NOT_CHECKED, Found, NotChecked, Severity
from kmsched.doctor.subject import Subject, is_loopback, named
from kmsched.errors import KmError


async def loopback(subject: Subject) -> list[Found]:
    """Loopback addresses that other hosts are told, or that other hosts need."""
    told, own = list(_told_to_agents(subject)), list(_own(subject))
    if not told and not own:
        return []
    try:
        others = await subject.other_hosts()
    except KmError as error:
        why = f"; {NOT_CHECKED}whether agents are on other hosts: {error}"
        return [*(Found(words + why, severity=Severity.WARNING) for words in told), *own]
    if others:
        return [*(Found(f"{words}, and {len(others)} agents are others ({named(others)})") for words in told), *own]
    return own if subject.has_peers else []


def _told_to_agents(subject: Subject) -> Iterator[str]:
    spec = subject.config.spec_flags
    name = "kubelet-api-servers" if spec.get("kubelet-api-servers") else "api-servers"
    for server in filter(None, spec.get(name, "").split(",")):
        if is_loopback(host_of(server)):
            yield f"--{name}={server}: executors are told this address, which means the host that they are on"
    for flag, uri in subject.artifacts():
        if is_loopback(host_of(uri)):
            yield f"--{flag}={uri}: agents fetch it from this address, which means the host that they are on"


def _own(subject: Subject) -> Iterator[Found]:
    """Addresses that only this scheduler, or who looks at it, uses."""
    config = subject.config
    if is_loopback(config.address) and config.address not in ("0.0.0.0", "::"):
        where = f"--address={config.address}: only this host reaches the scheduler's pages"
        if subject.has_peers:
            yield Found(f"{where}, and the other schedulers need them", "give an address that they reach")
        else:
            yield Found(
                f"{where}: monitoring on another host cannot",
                "if it must, give an address that it reaches, and --http-read-token-file unless everybody may read",
                Severity.NOTE,
            )
    severity = Severity.WARNING if subject.has_peers else Severity.NOTE
    for what, url in _upstreams(subject):
        if is_loopback(host_of(url)):
            words = f"{what}: {url} is this host, so the scheduler can run on no other"
            yield Found(words, "give the address by which other hosts reach it", severity)


def _upstreams(subject: Subject) -> Iterator[tuple[str, str]]:
    yield from (("--mesos-master", url) for url in subject.config.mesos_masters)
    if subject.config.api_servers:
        return
    try:
        yield from (("the kubeconfig's server", url) for url in subject.kube())
    except NotChecked:
        return  # `credentials` tells
