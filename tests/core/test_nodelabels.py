from __future__ import annotations

from kmsched.core.annotations import binding_annotations
from kmsched.core.nodelabels import attribute_labels, node_labels


def test_a_node_has_its_name_platform_and_the_attributes_of_its_agent() -> None:
    assert node_labels("Agent-1.Example", {"rack": "R1"}) == {
        "kubernetes.io/hostname": "agent-1.example",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "k8s.mesosphere.io/attribute-rack": "R1",
    }


def test_attributes_that_kubernetes_takes_for_no_label_are_left_out() -> None:
    attributes = {
        "empty": "",
        "range": "[1-5]",
        "spaced": "a b",
        "long": "x" * 64,
        "just": "x" * 63,
        "ends-": "x",
        "n" * 53: "x",
        "m" * 54: "x",
        "line": "x\n",
        "point": "1.5",
    }
    assert attribute_labels(attributes) == {
        "k8s.mesosphere.io/attribute-empty": "",
        "k8s.mesosphere.io/attribute-just": "x" * 63,
        "k8s.mesosphere.io/attribute-" + "n" * 53: "x",
        "k8s.mesosphere.io/attribute-point": "1.5",
    }


def test_the_annotations_of_a_binding() -> None:
    found = binding_annotations(
        hostname="agent-1", task_id="u.1.0", agent_id="S1", offer_ids=("O1", "O2"), executor_id="km-abc"
    )
    assert found == (
        ("k8s.mesosphere.io/bindingHost", "agent-1"),
        ("k8s.mesosphere.io/taskId", "u.1.0"),
        ("k8s.mesosphere.io/slaveId", "S1"),
        ("k8s.mesosphere.io/offerId", "O1,O2"),
        ("k8s.mesosphere.io/executorId", "km-abc"),
    )
