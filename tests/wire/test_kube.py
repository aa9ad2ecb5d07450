"""Pods as the API server sends them become the core's values; malformed ones are named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.model import HostPort, NodeTerm, Phase, Pod, Requirement, Toleration
from kmsched.core.resources import Counts, Resources
from kmsched.errors import ProtocolError
from kmsched.wire.kube import decode_node, decode_pod
from tests.wire.objects import Json, container, decoded, node, pod

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def test_a_pod_with_everything() -> None:
    found = decoded(
        pod(
            {
                "nodeName": "agent-1",
                "schedulerName": "km",
                "priority": 1000,
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [
                    {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    {"key": "b", "value": "1"},
                ],
                "schedulingGates": [{"name": "g"}],
                "containers": [
                    {
                        "name": "c",
                        "resources": {
                            "requests": {
                                "cpu": "1500m",
                                "memory": "1Gi",
                                "ephemeral-storage": "1G",
                                "example.com/fpga": "2",
                                "hugepages-2Mi": "4Mi",
                                "nvidia.com/gpu": "1",
                            }
                        },
                    }
                ],
            },
            {"phase": "Running"},
            creationTimestamp="2026-11-22T21:00:00Z",
            deletionTimestamp="2026-11-22T21:00:30Z",
            annotations={"k8s.mesosphere.io/taskId": "u1.1.0", "k8s.mesosphere.io/slaveId": "S1", "other": "x"},
            ownerReferences=[{"uid": "o1", "kind": "X"}, {"uid": "o2", "controller": True}],
        )
    )
    assert found == Pod(
        key="ns/web",
        uid="u1",
        resource_version="7",
        scheduler_name="km",
        node_name="agent-1",
        phase=Phase.RUNNING,
        is_terminating=True,
        is_static=False,
        is_gated=True,
        priority=1000,
        created_s=1795381200.0,
        requests=Resources(cpus=1500, mem=1024_000, disk=953_675, gpus=1000, pods=1),
        counts=Counts(cpu=1500, memory=1 << 30, storage=10**9, pods=1),
        node_selector={"disk": "ssd"},
        tolerations=(Toleration("a", "Exists", "", "NoExecute"), Toleration("b", "Equal", "1", "")),
        extended=(("example.com/fpga", 2), ("hugepages-2Mi", 4 * 2**20), ("nvidia.com/gpu", 1)),
        task_id="u1.1.0",
        agent_id="S1",
        owner_uid="o2",
    )


def test_a_bare_pod() -> None:
    found = decoded(pod())
    assert (found.phase, found.node_name, found.priority, found.created_s) == (Phase.PENDING, "", 0, 0.0)
    assert found.scheduler_name == "default-scheduler"
    assert (found.unsupported, found.node_affinity, found.host_ports) == ((), None, frozenset())
    assert not (found.is_gated or found.is_static or found.is_terminating)


@pytest.mark.parametrize(
    ("annotations", "is_static"),
    [
        ({"kubernetes.io/config.mirror": "x"}, True),
        ({"kubernetes.io/config.source": "file"}, True),
        ({"kubernetes.io/config.source": "http"}, True),
        ({"kubernetes.io/config.source": "api"}, False),
        ({}, False),
    ],
)
def test_static_pods(annotations: dict[str, str], is_static: bool) -> None:
    assert decoded(pod(annotations=annotations)).is_static is is_static


def test_a_phase_that_is_not_known_still_holds_resources() -> None:
    found = decoded(pod(status={"phase": "Dreaming"}))
    assert found.phase is Phase.UNKNOWN
    assert found.holds_resources


# --- rules about nodes


def test_required_node_affinity_and_the_name_that_a_daemon_set_asks_for() -> None:
    terms = [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["agent-1"]}]},
        {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]},
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = decoded(pod({"affinity": {"nodeAffinity": required}}))
    assert found.node_affinity == (
        NodeTerm(labels=(Requirement("zone", "In", ("a", "b")),)),
        NodeTerm(fields=(Requirement("metadata.name", "In", ("agent-1",)),)),
        NodeTerm(labels=(Requirement("gpu", "Exists"),)),
    )


def test_a_term_that_cannot_be_read_matches_nothing() -> None:
    sound = {"key": "zone", "operator": "In", "values": ["a"]}
    terms = [{"matchExpressions": [sound, {"key": "slots", "operator": "Gt", "values": ["many"]}]}]
    preferred = [{"weight": 5, "preference": {"matchExpressions": [sound]}}, {"weight": 0, "preference": terms[0]}]
    affinity = {REQUIRED: {"nodeSelectorTerms": terms}, "preferredDuringSchedulingIgnoredDuringExecution": preferred}
    found = decoded(pod({"affinity": {"nodeAffinity": affinity}}))
    assert found.node_affinity == (NodeTerm(),)
    assert found.preferred == ((5, NodeTerm((Requirement("zone", "In", ("a",)),))),)


def test_preferences_are_no_rules() -> None:
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    spread = [{"whenUnsatisfiable": "ScheduleAnyway", "topologyKey": "zone", "maxSkew": 1}]
    affinity = dict.fromkeys(("nodeAffinity", "podAffinity", "podAntiAffinity"), preferred)
    found = decoded(pod({"affinity": affinity, "topologySpreadConstraints": spread}))
    assert (found.node_affinity, found.unsupported) == (None, ())


def test_host_ports_of_containers_and_sidecars() -> None:
    def container(port: int, **more: Any) -> Json:
        return {"name": f"c{port}", "ports": [{"containerPort": 1, "hostPort": port}, {"containerPort": 2}], **more}

    found = decoded(
        pod(
            {
                "containers": [
                    container(80),
                    {"name": "x", "ports": [{"hostPort": 53, "protocol": "UDP", "hostIP": "1.2.3.4"}]},
                ],
                "initContainers": [container(81), container(82, restartPolicy="Always")],
            }
        )
    )
    assert found.host_ports == {
        HostPort("TCP", "0.0.0.0", 80),
        HostPort("UDP", "1.2.3.4", 53),
        HostPort("TCP", "0.0.0.0", 82),
    }


@pytest.mark.parametrize(
    ("spec", "rules"),
    [
        ({"affinity": {"podAffinity": {REQUIRED: [{}]}}}, [("InterPodAffinity", "required podAffinity")]),
        ({"affinity": {"podAntiAffinity": {REQUIRED: [{}]}}}, [("InterPodAffinity", "required podAntiAffinity")]),
        (
            {"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]},
            [("PodTopologySpread", "topologySpreadConstraints with DoNotSchedule")],
        ),
        (
            {"volumes": [{"persistentVolumeClaim": {"claimName": "x"}}]},
            [("VolumeBinding", "persistentVolumeClaim volumes")],
        ),
        ({"volumes": [{"ephemeral": {}}]}, [("VolumeBinding", "ephemeral volumes")]),
        (
            {"resourceClaims": [{"name": "gpu"}], "volumes": [{"ephemeral": {}}, {"rbd": {}}, {"iscsi": {}}]},
            [
                ("VolumeRestrictions", "iscsi volumes"),
                ("VolumeRestrictions", "rbd volumes"),
                ("VolumeBinding", "ephemeral volumes"),
                ("DynamicResources", "resourceClaims"),
            ],
        ),
        ({"volumes": [{"gcePersistentDisk": {}}]}, [("VolumeRestrictions", "gcePersistentDisk volumes")]),
        ({"volumes": [{"awsElasticBlockStore": {}}]}, [("VolumeRestrictions", "awsElasticBlockStore volumes")]),
        ({"resourceClaims": [{"name": "gpu"}]}, [("DynamicResources", "resourceClaims")]),
        ({"schedulingGroup": {"podGroupName": "g"}}, [("GangScheduling", "schedulingGroup")]),
        ({"os": {"name": "windows"}}, [("spec", "os windows")]),
        ({"os": {"name": "linux"}, "volumes": [{"emptyDir": {}}, {"configMap": {}}, {"projected": {}}]}, []),
    ],
)
def test_rules_that_are_not_honoured_are_named(spec: Json, rules: list[tuple[str, str]]) -> None:
    assert list(decoded(pod(spec)).unsupported) == rules


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_privileged(kind: str) -> None:
    for context, expected in [(None, False), ({}, False), ({"privileged": False}, False), ({"privileged": True}, True)]:
        assert (
            decoded(pod({kind: [{"name": "a"}, {"name": "b", "securityContext": context}]})).is_privileged == expected
        )


@pytest.mark.parametrize(
    ("name", "is_counted"),
    [
        ("example.com/fpga", True),
        ("hugepages-2Mi", True),
        ("attachable-volumes-csi", True),
        ("kubernetes.io/batch", True),
        ("requests.example.com/fpga", False),
        ("fpga", False),
        ("storage", False),
        ("a/b/c", False),
        ("Example.com/fpga", False),
    ],
)
def test_resources_of_other_names(name: str, is_counted: bool) -> None:
    wanted = decoded(pod({"containers": [{"resources": {"requests": {name: "3"}}}]}))
    assert dict(wanted.extended) == ({name: 3} if is_counted else {})
    assert (name in decode_node(node(status={"allocatable": {name: 5}})).extended) is is_counted


def test_numbers_need_no_quotes_and_null_is_nothing() -> None:
    spec = {
        "containers": [{"ports": None, "resources": {"requests": {"cpu": 0.5, "memory": 128, "x.y/z": None}}}, None],
        "nodeSelector": None,
        "nodeName": None,
        "tolerations": [{"operator": "Exists", "key": None}],
    }
    found = decoded(pod(spec))
    assert (found.counts.cpu, found.counts.memory, found.extended, found.node_name) == (500, 128, (), "")
    assert found.tolerations == (Toleration("", "Exists", "", ""),)
    # where texts have any name, it is the empty one
    assert dict(decoded(pod({"nodeSelector": {"disk": None}})).node_selector) == {"disk": ""}


# --- what is not as promised


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("spec.nodeName", 3, "Pod ns/web is not what the Kubernetes API promises: Expected `str`, got `int`"),
        ("spec.nodeName", 3, r"\$\.spec\.nodeName"),
        ("spec.containers", {}, r"\$\.spec\.containers"),
        ("spec.priority", "high", r"\$\.spec\.priority"),
        ("spec", None, "Pod ns/web .*`spec`"),
        ("metadata.creationTimestamp", "yesterday", r"\$\.metadata\.creationTimestamp"),
        ("metadata.name", None, r"Pod \(nameless\) .*`name`"),
        ("spec.overhead", {"cpu": "lots"}, r"Pod ns/web: \$\.spec\.overhead\.cpu: 'lots' is not a quantity"),
        ("spec.overhead", {"cpu": "-1"}, r"Pod ns/web: .*'-1' is negative"),
        ("spec.overhead", {"cpu": []}, r"\$\.spec\.overhead"),
    ],
)
def test_a_malformed_pod_is_named_with_field_and_value(path: str, value: Any, words: str) -> None:
    obj = copy.deepcopy(pod())
    *parents, last = path.split(".")
    inner = obj
    for name in parents:
        inner = inner[name]
    inner[last] = value
    for given_ in (obj, json.dumps(obj).encode()):
        with pytest.raises(ProtocolError, match=words):
            decode_pod(given_)


def test_a_bad_request_names_its_container() -> None:
    with pytest.raises(
        ProtocolError, match=r"Pod ns/web: container c: resources.requests.memory: '1gb' is not a quantity"
    ):
        decode_pod(pod({"containers": [container("1", "1gb")]}))


@pytest.mark.parametrize(
    "record", [b"", b"xx", b"[]", b"null", b'{"metadata":[]}', b'{"metadata":{"name":"\xff"}}', b"[" * 100_000]
)
def test_what_is_no_object_is_refused(record: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"Pod .* is not what the Kubernetes API promises"):
        decode_pod(record)
    with pytest.raises(ProtocolError, match=r"Node .* is not what the Kubernetes API promises"):
        decode_node(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "cpu", "requests"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    where=st.sampled_from(
        ["containers", "initContainers", "affinity", "tolerations", "volumes", "overhead", "resources"]
    ),
    what=JSON,
)
def test_whatever_stands_in_a_field_it_is_read_or_refused(where: str, what: Any) -> None:
    try:
        assert decode_pod(json.dumps(pod({where: what})).encode()).key == "ns/web"
    except ProtocolError as error:
        assert "ns/web" in str(error)
