"""What is stored, in the folder or in etcd, and pods that would be left behind without it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kmsched.doctor import etcd, mesos, records
from kmsched.doctor.findings import Severity
from kmsched.doctor.subject import Subject
from tests.clients.fakes import Reply
from tests.doctor.patients import FRAMEWORK_ID, PEER, World, found, framework, frameworks, said


def pod(name: str, task_id: str) -> dict[str, Any]:
    annotations = {"k8s.mesosphere.io/taskId": task_id}
    return {"metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "annotations": annotations}}


def with_pods(folder: Path, *pods: dict[str, Any]) -> Subject:
    return World(folder, {"https://api:6443/api/v1/pods": {"items": list(pods)}}).subject()


def test_pods_are_bound_and_the_id_is_missing(tmp_path: Path) -> None:
    subject = with_pods(tmp_path, pod("a", "uid-a.1.1"), pod("b", "uid-other.1.1"), pod("c", "made up"))
    assert said(records.framework_id, subject) == [f"{tmp_path} holds no framework id, and 1 pods are bound (ns/a)"]


@pytest.mark.parametrize("value", ["f-1", ""])
def test_with_an_id_or_after_a_reset_all_is_well(tmp_path: Path, value: str) -> None:
    (tmp_path / "framework-id").write_text(f'{{"schema":1,"revision":1,"value":"{value}"}}')
    assert said(records.framework_id, with_pods(tmp_path, pod("a", "uid-a.1.1"))) == []


def test_pages_are_followed_to_the_first_pod_of_ours(tmp_path: Path) -> None:
    first = {"items": [pod("x", "")], "metadata": {"continue": "more"}}
    world = World(tmp_path, {"continue=more": {"items": [pod("a", "uid-a.1.1")]}, "/api/v1/pods": first})
    [words] = said(records.framework_id, world.subject())
    assert "(ns/a)" in words


def stored(key: str, value: str) -> dict[str, Any]:
    record = json.dumps({"schema": 1, "revision": 1, "value": value}).encode()
    kv = {"key": _base64(key.encode()), "value": _base64(record), "mod_revision": "4"}
    return {"header": {"revision": "5"}, "kvs": [kv], "count": "1"}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_the_framework_id_of_several_schedulers_is_in_etcd(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        "/v3/kv/range": stored("/kmsched/Kubernetes/framework-id", FRAMEWORK_ID),
        "GET_FRAMEWORKS": frameworks(framework(user="nobody")),
    }
    [words] = said(mesos.framework, World(tmp_path, answers).subject(*PEER))
    assert words == "--mesos-user is 'root' here, and 'nobody' in what the master has of this framework"


def test_pods_are_bound_and_etcd_has_no_id(tmp_path: Path) -> None:
    world = World(tmp_path, {"https://api:6443/api/v1/pods": {"items": [pod("a", "uid-a.1.1")]}})
    assert said(records.framework_id, world.subject(*PEER)) == [
        "etcd under /kmsched/Kubernetes/ holds no framework id, and 1 pods are bound (ns/a)"
    ]


def test_without_a_quorum_nothing_can_be_stored(tmp_path: Path) -> None:
    world = World(tmp_path, {"/v3/kv/range": Reply(503, [b"away"])})
    [only] = found(etcd.etcd, world.subject(*PEER))
    assert only.severity is None
    assert only.message.startswith("etcd cannot be read: ")


def test_members_that_are_away_or_follow_nobody(tmp_path: Path) -> None:
    answers: dict[str, Any] = {
        "http://e1:2379/v3/maintenance": Reply(503, [b"away"]),
        "http://e2:2379/v3/maintenance": {"version": "3.7.0"},
    }
    made = found(etcd.etcd, World(tmp_path, answers).subject(*PEER))
    assert [each.severity for each in made] == [Severity.WARNING, Severity.WARNING]
    assert made[0].message.startswith("the etcd member http://e1:2379 is of no use: ")
    assert made[1].message == "the etcd member http://e2:2379 knows no leader"


def test_one_member_alone_is_noted_and_none_is_asked_without_ha(tmp_path: Path) -> None:
    [only] = found(etcd.etcd, World(tmp_path).subject(*PEER, "--etcd-servers=http://e1:2379"))
    assert (only.severity, only.message.partition(":")[0]) == (Severity.NOTE, "--etcd-servers names 1")
    assert said(etcd.etcd, World(tmp_path).subject()) == []
