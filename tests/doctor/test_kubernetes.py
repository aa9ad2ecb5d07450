"""Credentials, API servers and rights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Transport
from kmsched.clients.kube import KubeAccess
from kmsched.clients.kube_rights import rights
from kmsched.doctor import kubernetes
from kmsched.doctor.findings import NotChecked, Severity
from kmsched.doctor.subject import Subject
from kmsched.errors import ConfigRefused
from tests.clients.fakes import Reply
from tests.doctor.patients import World, found, said


def without_kubeconfig(subject: Subject) -> Subject:
    def refuse() -> KubeAccess:
        raise ConfigRefused("cannot read the kubeconfig /k: Permission denied")

    subject.reached = replace(subject.reached, kube_access=refuse)
    return subject


def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path) -> None:
    subject = without_kubeconfig(World(tmp_path).subject())
    assert said(kubernetes.credentials, subject) == [
        "the credentials cannot be used: cannot read the kubeconfig /k: Permission denied"
    ]
    with pytest.raises(NotChecked, match="Permission denied"):
        said(kubernetes.permissions, subject)


def test_one_of_two_api_servers_is_away(tmp_path: Path) -> None:
    world = World(tmp_path, {"https://other": Reply(503, [b"away"])})
    subject = world.subject("--api-servers=https://other:6443,https://api:6443")
    [only] = found(kubernetes.reachable, subject)
    assert only.severity is Severity.WARNING
    assert only.message == (
        "the API server https://other:6443 is of no use: GET https://other:6443/version was answered 503: away"
    )
    assert said(kubernetes.permissions, subject) == []


def test_credentials_that_are_not_accepted(tmp_path: Path) -> None:
    world = World(tmp_path, {"https://api": Reply(401, [b'{"message":"Unauthorized"}'])})
    [only] = found(kubernetes.reachable, world.subject())
    assert only.severity is None
    assert "does not accept the credentials" in only.message


def test_rights_that_are_missing_are_named(tmp_path: Path) -> None:
    world = World(tmp_path, missing=frozenset({"create pods/binding", "patch events"}))
    assert said(kubernetes.permissions, world.subject()) == [
        "user 'km' of the kubeconfig may not: create pods/binding, patch events"
    ]
    reviews = [json.loads(each.body or b"") for each in world.requests if each.method == "POST"]
    assert len(reviews) == len(rights("default-scheduler", registers_all=False))
    assert {"verb": "create", "group": "", "resource": "pods", "subresource": "binding"} in [
        each["spec"]["resourceAttributes"] for each in reviews
    ]


def test_certificates_for_mesos_that_are_of_no_use(tmp_path: Path) -> None:
    subject = World(tmp_path).subject("--mesos-master=https://m1:5050", "--mesos-ca-file=/ca")
    usual = subject.reached.make_transport

    def refuse(tls: TlsSettings) -> Transport:
        if tls.ca_file == "/ca":
            raise ConfigRefused("--mesos-ca-file: cannot read the CA certificate /ca: No such file or directory")
        return usual(tls)

    subject.reached = replace(subject.reached, make_transport=refuse)
    [words] = said(kubernetes.credentials, subject)
    assert words.startswith("the certificates for Mesos cannot be used: --mesos-ca-file: cannot read the CA")


def test_a_secret_of_mesos_that_cannot_be_read(tmp_path: Path) -> None:
    subject = World(tmp_path).subject()

    def refuse() -> None:
        raise ConfigRefused("--mesos-authentication-secret-file: '/s' is empty; put the secret there")

    subject.reached = replace(subject.reached, credentials=refuse)
    [words] = said(kubernetes.credentials, subject)
    assert words.startswith("the secret cannot be used: --mesos-authentication-secret-file")


LEASE = "/leases/kube-scheduler"
HELD = {"spec": {"holderIdentity": "cp-1_42", "leaseDurationSeconds": 15, "renewTime": "2100-01-01T00:00:00.5Z"}}


def test_a_kube_scheduler_that_places_the_same_pods(tmp_path: Path) -> None:
    world = World(tmp_path, {LEASE: HELD})
    [only] = found(kubernetes.rival, world.subject())
    assert only.message.startswith(
        "a kube-scheduler is alive (cp-1_42) and places pods with schedulerName default-scheduler as well"
    )
    assert only.remedy.startswith("stop it, or give --scheduler-name another name")
    assert said(kubernetes.rival, World(tmp_path).subject()) == []


def test_a_kube_scheduler_beside_a_scheduler_of_another_name(tmp_path: Path) -> None:
    world = World(tmp_path, {LEASE: HELD})
    assert said(kubernetes.rival, world.subject("--scheduler-name=mesos")) == []
    assert world.requests == []


def test_a_lease_that_may_not_be_read_is_a_note(tmp_path: Path) -> None:
    refused = Reply(403, [b'{"message":"leases is forbidden"}'])
    [only] = found(kubernetes.rival, World(tmp_path, {LEASE: refused}).subject())
    assert only.severity is Severity.NOTE
    assert "not checked: GET https://api:6443/apis/coordination.k8s.io/v1/" in only.message
    missing = World(tmp_path, missing=frozenset({"get leases"}))
    [right] = found(kubernetes.permissions, missing.subject())
    assert (right.severity, right.message) == (
        Severity.NOTE,
        "user 'km' of the kubeconfig may not: get leases kube-system/kube-scheduler",
    )
