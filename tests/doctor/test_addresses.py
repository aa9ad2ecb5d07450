"""Loopback means another host on another host."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.doctor.addresses import loopback
from kmsched.doctor.findings import Severity
from kmsched.doctor.subject import is_local, is_loopback
from tests.clients.fakes import Reply
from tests.doctor.patients import PEER, SHA256, World, found, said

LOCAL_API = "--api-servers=https://127.0.0.1:6443"


def test_an_api_server_that_agents_would_look_for_on_themselves(tmp_path: Path) -> None:
    assert said(loopback, World(tmp_path).subject(LOCAL_API)) == [
        "--api-servers=https://127.0.0.1:6443: executors are told this address, which means the host that they are on,"
        " and 1 agents are others (h1)"
    ]


def test_kubelets_own_api_servers_are_those_that_agents_use(tmp_path: Path) -> None:
    world = World(tmp_path)
    [words] = said(loopback, world.subject("--kubelet-api-servers=10.0.0.5:6443,127.0.0.1:6443"))
    assert words.startswith("--kubelet-api-servers=https://127.0.0.1:6443: executors are told this address")
    assert said(loopback, world.subject(LOCAL_API, "--kubelet-api-servers=10.0.0.5:6443")) == []


def test_an_artifact_that_agents_would_look_for_on_themselves(tmp_path: Path) -> None:
    uri = f"http://localhost:8000/{SHA256}/km"
    [words] = said(loopback, World(tmp_path).subject(f"--km-path={uri}"))
    assert words.startswith(f"--km-path={uri}: agents fetch it from this address")


def test_where_all_agents_are_here_loopback_is_right(tmp_path: Path) -> None:
    world = World(tmp_path, local=frozenset({"10.0.0.1"}))
    assert said(loopback, world.subject(LOCAL_API, "--address=127.0.0.1", "--mesos-master=127.0.0.1:5050")) == []


def test_without_mesos_it_is_a_warning_that_says_what_is_not_known(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_AGENTS": Reply(503, [b"away"])})
    [only] = found(loopback, world.subject(LOCAL_API))
    assert only.severity is Severity.WARNING
    assert only.message.endswith("not checked: whether agents are on other hosts: m1:5050 answered 503: away")


def test_without_any_agent_yet_nobody_knows_where_they_will_be(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_AGENTS": {"get_agents": {}}})
    [only] = found(loopback, world.subject(LOCAL_API))
    assert only.severity is Severity.WARNING
    assert only.message.endswith("no agent is registered with the Mesos master yet")


def test_pages_on_loopback_are_a_note_alone_and_an_error_among_peers(tmp_path: Path) -> None:
    [alone] = found(loopback, World(tmp_path).subject("--address=127.0.0.1"))
    assert alone.severity is Severity.NOTE
    assert alone.message.startswith("--address=127.0.0.1: only this host reaches the scheduler's pages")
    [peer] = found(loopback, World(tmp_path).subject("--address=127.0.0.1", *PEER))
    assert peer.severity is None  # the row's own: an error
    assert peer.message.endswith("and the other schedulers need them")


def test_upstreams_on_loopback_tie_the_scheduler_to_its_host(tmp_path: Path) -> None:
    [only] = found(loopback, World(tmp_path).subject("--mesos-master=localhost:5050", *PEER))
    assert only.severity is Severity.WARNING
    assert only.message == "--mesos-master: http://localhost:5050 is this host, so the scheduler can run on no other"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "0.0.0.0", "::"])
def test_what_means_this_host(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "10.0.0.1", "local", "localhost.example", "fe80::1"])
def test_what_does_not(host: str) -> None:
    assert not is_loopback(host)


def test_whose_an_address_is() -> None:
    assert is_local("127.0.0.1")
    assert not is_local("192.0.2.1")
    assert not is_local("no address")
