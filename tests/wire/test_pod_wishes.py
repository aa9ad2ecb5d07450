"""Annotations and labels of the original k8s-mesos."""

from __future__ import annotations

from typing import Any

import pytest

from kmsched.core.annotations import port_annotations
from kmsched.core.model import Wishes
from kmsched.errors import ProtocolError
from kmsched.wire.kube import decode_pod

PREFIX = "k8s.mesosphere.io/"


def wishes(meta: dict[str, Any] | None = None, spec: dict[str, Any] | None = None) -> Wishes:
    found = {"metadata": {"name": "web", "namespace": "ns", **(meta or {})}, "spec": spec or {}}
    return decode_pod(found).wishes


@pytest.mark.parametrize(
    ("text", "roles"), [("web", ("web",)), (" db , web,db,", ("db", "web")), ("", ()), (" , ", ()), ("*", ("*",))]
)
def test_roles(text: str, roles: tuple[str, ...]) -> None:
    assert wishes({"annotations": {PREFIX + "roles": text}}).roles == roles


def test_a_pod_without_any_wishes_nothing() -> None:
    assert wishes() == Wishes()


@pytest.mark.parametrize("mapping", ["fixed", "wildcard"])
def test_port_mapping(mapping: str) -> None:
    assert wishes({"labels": {PREFIX + "portMapping": mapping}}).port_mapping == mapping


def test_a_mapping_that_nobody_knows_is_named() -> None:
    with pytest.raises(ProtocolError, match=r"ns/web: its label .*portMapping is 'Wildcard'; write fixed or wildcard"):
        wishes({"labels": {PREFIX + "portMapping": "Wildcard"}})


def test_open_ports_are_those_of_containers_and_sidecars_without_a_host_port() -> None:
    spec = {
        "containers": [
            {"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "hostPort": 8081}]},
            {"ports": [{"containerPort": 53, "protocol": "UDP"}]},
        ],
        "initContainers": [
            {"ports": [{"containerPort": 1}]},
            {"ports": [{"containerPort": 2}], "restartPolicy": "Always"},
        ],
    }
    assert wishes(spec=spec).open_ports == (("TCP", 80, "http"), ("UDP", 53, ""), ("TCP", 2, ""))


def test_the_ports_of_its_binding_are_read_back() -> None:
    told = dict(port_annotations((("TCP", 80, "http"), ("UDP", 53, "")), (31007, 31001)))
    told[PREFIX + "port_TCP_99"] = "many"
    assert wishes({"annotations": told}, {"nodeName": "n1"}).mapped_ports == (31001, 31007)


@pytest.mark.parametrize("text", ["9" * 5000, "65536", "0", "-1", "٣", "+80", "8_0", ""])
def test_an_annotation_that_is_no_port_is_passed_over(text: str) -> None:
    assert wishes({"annotations": {PREFIX + "port_TCP_80": text}}, {"nodeName": "n1"}).mapped_ports == ()


def test_a_pod_that_is_not_bound_has_no_ports_of_a_binding() -> None:
    assert wishes({"annotations": {PREFIX + "port_TCP_80": "31007"}}).mapped_ports == ()


def test_how_long_it_may_run() -> None:
    assert wishes(spec={"activeDeadlineSeconds": 600}).runs_at_most_s == 600.0


def test_a_time_that_no_api_server_takes_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"ns/web .* `int` <= 2147483647 - at `\$.spec.activeDeadlineSeconds`"):
        wishes(spec={"activeDeadlineSeconds": 10**400})


def test_pods_of_one_template_share_their_wishes() -> None:
    spec = {"containers": [{"ports": [{"containerPort": 80}]}]}
    assert wishes(spec=spec) is wishes(spec=spec)
