"""An API server that is away is waited for, credentials that it refuses end the process, and findings are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.core.step import step
from kmsched.daemon.preflight import FORBIDDEN_PATIENCE_S, await_access, tell_findings
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import Repeats
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import EXIT_CONFIG, ConfigRefused
from tests import virtual_time
from tests.clients.fakes import FakeClock, HandlerTransport, Reply, refused
from tests.doctor.patients import World
from tests.virtual_time import VirtualClock

ACCESS = KubeAccess(servers=("http://api:8080",), tls=TlsSettings(), user="km")


def check(handler: Callable[[Request], Reply]) -> tuple[Readiness, FakeClock]:
    clock = FakeClock()
    readiness = Readiness(clock)
    kube = KubeClient(ACCESS, make_transport=lambda _: HandlerTransport(handler), clock=clock)
    asyncio.run(
        await_access(
            kube,
            origin="--kubeconfig /k",
            readiness=readiness,
            repeats=Repeats(clock),
            clock=clock,
            rng=Random(1),
        )
    )
    return readiness, clock


def test_a_server_that_comes_back_is_waited_for_and_told_as_reason(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    def handler(request: Request) -> Reply:
        nonlocal tries
        tries += 1
        if tries <= 5:
            raise refused(request)
        return Reply(200, [b"{}"])

    readiness, _ = check(handler)
    assert readiness.unlisted == dict.fromkeys(("pods", "nodes"), "api:8080: no connection: Connection refused")
    assert len([record for record in caplog.records if "cannot be used yet" in record.getMessage()]) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_given_some_time_and_then_refused(status: int) -> None:
    clock_seen: list[int] = []

    def handler(request: Request) -> Reply:
        clock_seen.append(1)
        return Reply(status, [b'{"message":"no"}'])

    with pytest.raises(ConfigRefused, match="--kubeconfig /k: the Kubernetes API does not let us list") as refusal:
        check(handler)
    assert refusal.value.exit_code == EXIT_CONFIG
    assert len(clock_seen) > 3


def test_credentials_that_are_accepted_in_time_are_good() -> None:
    tries = 0

    def handler(request: Request) -> Reply:
        nonlocal tries
        tries += 1
        return Reply(403 if tries <= 3 else 200, [b"{}"])

    _, clock = check(handler)
    assert sum(clock.slept) < FORBIDDEN_PATIENCE_S


def test_a_server_that_is_no_kubernetes_api_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="no Kubernetes API answers there"):
        check(lambda _: Reply(404, [b"not here"]))


def findings_told(world: World, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(level, words) of each line."""
    surroundings = Surroundings(
        clock=VirtualClock(),
        rng=Random(1),
        make_transport=lambda _: HandlerTransport(world.handle),
        environment={},
        hostname="s1",
        step=step,
        read_artifact=world.read,
    )
    caplog.set_level(logging.INFO)
    virtual_time.run(tell_findings(world.subject().config, surroundings))
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_what_the_doctor_finds_is_told_with_its_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, missing=frozenset({"create pods/binding"}))
    assert findings_told(world, caplog) == [
        (
            "ERROR",
            "kubernetes-rights: user 'anonymous' of the kubeconfig may not: create pods/binding;"
            " grant it: kubectl apply what km manifests --user=USER prints",
        )
    ]
    assert len(world.reads) == 2  # their beginnings


def test_findings_end_nothing_even_when_nobody_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = findings_told(World(tmp_path, {"http": Reply(503, [b"away"])}), caplog)
    assert {level for level, _ in told} == {"WARNING"}
    assert any(words.startswith("mesos-role: not checked: m1:5050 answered 503: away;") for _, words in told)
