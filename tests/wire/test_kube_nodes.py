"""Nodes as the API server tells them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kmsched.core.model import Node, Taint
from kmsched.core.resources import NO_COUNTS, Counts
from kmsched.errors import ProtocolError
from kmsched.wire.kube import decode_node, decode_pod
from tests.wire.objects import container, node, pod


def test_a_node_is_promised_until_a_kubelet_was_there() -> None:
    metadata = {"annotations": {"k8s.mesosphere.io/promised": "true"}}
    assert decode_node(node(metadata=metadata)).is_promised
    assert not decode_node(node(metadata=metadata, status={"nodeInfo": {"bootID": "b1"}})).is_promised
    assert not decode_node(node()).is_promised


def test_a_node_with_everything() -> None:
    obj = node(
        metadata={
            "uid": "n1",
            "resourceVersion": "7",
            "labels": {"zone": "a"},
            "annotations": {"k8s.mesosphere.io/slaveId": "S1", "k8s.mesosphere.io/frameworkId": "F1"},
        },
        spec={"unschedulable": True, "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        status={
            "allocatable": {
                "cpu": "3920999u",
                "memory": "7950000Ki",
                "ephemeral-storage": "1000000000",
                "pods": "110",
                "example.com/fpga": "2",
                "hugepages-2Mi": "0",
                "nvidia.com/gpu": "1",
            },
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
            "nodeInfo": {"bootID": "b1"},
        },
    )
    expected = Node(
        name="agent-1",
        allocatable=Counts(cpu=3921, memory=7950000 * 1024, storage=1000000000, pods=110),
        labels={"zone": "a"},
        taints=(Taint("k", "v", "NoSchedule"),),
        is_unschedulable=True,
        is_ready=True,
        boot_id="b1",
        agent_id="S1",
        uid="n1",
        framework_id="F1",
        extended={"example.com/fpga": 2, "hugepages-2Mi": 0, "nvidia.com/gpu": 1},
    )
    assert decode_node(json.dumps(obj).encode()) == expected
    assert decode_node(obj) == expected


@pytest.mark.parametrize("status", ["False", "Unknown", ""])
def test_a_node_that_is_not_ready(status: str) -> None:
    obj = node(status={"conditions": [{"type": "Ready", "status": status}]})
    assert decode_node(obj) == Node(name="agent-1", allocatable=NO_COUNTS)


@given(st.integers(0, 2**60))
def test_a_pod_that_asks_for_all_of_a_node_is_counted_as_that(amount: int) -> None:
    wanted = decode_pod(pod({"containers": [container(f"{amount}n", str(amount))]})).counts
    there = decode_node(node(status={"allocatable": {"cpu": f"{amount}n", "memory": str(amount)}})).allocatable
    assert wanted == structs.replace(there, pods=1)


def test_a_malformed_node_is_named() -> None:
    with pytest.raises(ProtocolError, match=r"Node agent-1: \$\.status\.allocatable\.cpu: 'x' is not a quantity"):
        decode_node(node(status={"allocatable": {"cpu": "x"}}))
    with pytest.raises(ProtocolError, match=r"Node agent-1 is not .*\$\.spec\.taints"):
        decode_node(node(spec={"taints": "all"}))
