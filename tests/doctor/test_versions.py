"""Versions of everything that tells its own."""

from __future__ import annotations

from pathlib import Path

from kmsched.doctor.versions import versions
from tests.clients.fakes import Reply
from tests.doctor.patients import World, agent, node, said


def test_versions_that_nobody_expects_are_named_with_their_places(tmp_path: Path) -> None:
    old = [agent("h1", version="1.4.0"), agent("h2", version="1.4.0"), agent("h3")]
    world = World(
        tmp_path,
        {
            "GET_AGENTS": {"get_agents": {"agents": old}},
            "/jmx": {"beans": [{"SoftwareVersion": "2.7.3"}]},
            "GET https://api:6443/version": {"gitVersion": "v1.20.0+x"},
            "/api/v1/nodes": {"items": [node("v1.38.0", "containerd://1.5.9"), node(runtime="cri-o://1.30")]},
        },
    )
    told = said(versions, world.subject())
    assert [each.partition(": version ")[0] for each in told] == [
        "containerd (node h1)",
        "Hadoop (HDFS) (NameNode http://nn:9870)",
        "kubelet (node h1)",
        "Kubernetes API server (https://api:6443)",
        "Mesos master and agents (agent h1, agent h2)",
    ]
    assert "version v1.20.0+x is neither tested (1.37.2) nor expected (1.35 to below 1.38)" in told[3]


def test_what_does_not_tell_its_version_is_not_passed_over(tmp_path: Path) -> None:
    world = World(tmp_path, {"/jmx": Reply(404, [b"none"]), "/api/v1/nodes": Reply(403, [b"no"])})
    told = said(versions, world.subject())
    assert told == [
        "not checked: version of kubelet: GET https://api:6443/api/v1/nodes was answered 403: no (user 'km')",
        "not checked: version of hadoop: nn:9870 answered 404: none",
    ]


def test_a_namenode_that_answers_something_else(tmp_path: Path) -> None:
    world = World(tmp_path, {"/jmx": {"beans": []}})
    [words] = said(versions, world.subject())
    assert words.startswith("not checked: version of hadoop: nn:9870 tells no version")
