"""Files of Nodes and pods: every form, and every way in which one can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmsched.errors import ConfigRefused
from kmsched.whatif.files import Limits, read_nodes, read_pods
from kmsched.wire.kube import Defaults
from tests.whatif.objects import Json, node, pod

DOCUMENTS = """
# two documents, one of them a List; a date is text
apiVersion: v1
kind: Node
metadata: {name: n1, creationTimestamp: null, labels: {day: 2020-01-01}}
status: {allocatable: {cpu: 2, memory: 1.5Gi, pods: 3}}
---
kind: List
items:
- kind: Node
  metadata: {name: n2}
  status: {capacity: {cpu: 0.5, pods: 110}}
---
"""


def names(tmp_path: Path, content: str) -> list[str]:
    file = tmp_path / "nodes"
    file.write_text(content)
    return [each.name for each in read_nodes(file)]


@pytest.mark.parametrize(
    "content",
    [
        DOCUMENTS,
        "\ufeff" + DOCUMENTS,
        json.dumps({"kind": "List", "items": [node("n1"), node("n2")]}),
        json.dumps({"kind": "NodeList", "items": [{**node("n1"), "kind": "Node"}, {"metadata": {"name": "n2"}}]}),
        json.dumps([node("n1"), node("n2")]),
        f"---\n{json.dumps(node('n1'))}\n---\n{json.dumps(node('n2'))}",
    ],
)
def test_every_form_is_read(tmp_path: Path, content: str) -> None:
    assert names(tmp_path, content) == ["n1", "n2"]


def test_a_single_object_is_enough(tmp_path: Path) -> None:
    assert names(tmp_path, json.dumps(node("n1"))) == ["n1"]


def test_what_the_api_server_fills_in_is_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(DOCUMENTS)
    one, two = read_nodes(file)
    assert (one.labels["day"], one.allocatable.memory, two.allocatable.cpu) == ("2020-01-01", 3 << 29, 500)
    resources = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    file.write_text(json.dumps(pod(spec={"containers": [{"name": "c", "resources": resources}, {"name": "d"}]})))
    (found,) = read_pods(file, Defaults(cpu_millis=250))
    assert (found.key, found.counts.cpu, found.counts.memory) == ("default/p", 1250, 1 << 30)
    ports = [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081}]
    on_host = {"hostNetwork": True, "containers": [{"name": "c", "ports": ports}]}
    file.write_text(json.dumps([pod("a", on_host), pod("b", {**on_host, "hostNetwork": False})]))
    assert [sorted(port.port for port in each.host_ports) for each in read_pods(file, Defaults())] == [
        [80, 8081],
        [8081],
    ]


def test_a_pod_requests_its_limit_where_no_container_requests_anything(tmp_path: Path) -> None:
    file = tmp_path / "pods"
    whole = {"limits": {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "8Mi"}, "requests": {"memory": "512Mi"}}
    asking = [{"name": "c", "resources": {"limits": {"cpu": "1", "hugepages-2Mi": "2Mi"}}}]
    specs: list[Json] = [
        {"resources": whole, "containers": [{"name": "c"}]},
        {"resources": whole, "containers": asking},
        {"resources": whole, "containers": [{"name": "c"}], "initContainers": asking},
        {"resources": {"limits": None}, "containers": [{"name": "c"}]},
    ]
    file.write_text(json.dumps([pod(f"p{number}", spec) for number, spec in enumerate(specs)]))
    found = read_pods(file, Defaults(cpu_millis=250))
    assert [each.counts.cpu for each in found] == [2000, 1000, 1000, 250]
    assert [each.counts.memory >> 20 for each in found] == [512, 512, 512, 0]
    assert [dict(each.extended).get("hugepages-2Mi", 0) >> 20 for each in found] == [8, 8, 8, 0]


def test_no_pods_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "pods"
    file.write_text('{"kind": "PodList", "items": null}')
    assert read_pods(file, Defaults()) == ()


DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "web"}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "pods: it is empty; give what `kubectl get pods -o json` prints"),
        (b" \n", "pods: it is empty; give what"),
        (b"\xff\xfe", "pods: byte 0 is not UTF-8; give what"),
        (b'{"kind": ', "pods: it is no JSON: Input data was truncated; give what"),
        (b"[" * 100_000, "pods: it is no JSON: maximum recursion depth exceeded"),
        (b"a: [", "pods: it is no YAML: while parsing a flow node"),
        (b"a: \x00", "pods: it is no YAML: "),
        (b"- " * 100_000, "pods: it is no YAML: it is nested deeper than 200"),
        (b"a: !!python/object:os.system x", "pods: it is no YAML: could not determine a constructor"),
        (b"some words", "pods, object 1: 'some words' is no Kubernetes object; every object must be of kind Pod"),
        (b"{}", r"pods: it is \(nameless\) without a kind; every object must be of kind Pod"),
        ([node()], "pods, object 1: it is Node n1; every object must be of kind Pod; give what"),
        ([pod(), DEPLOYMENT], "pods, object 2: it is Deployment web; every object must be of kind Pod"),
        ({"kind": "DeploymentList"}, "pods: it is a DeploymentList; every object must be of kind Pod"),
        ([pod(), pod()], "pods, object 2: Pod default/p is there already, as .*pods, object 1; give each its own name"),
        ([pod(cpu="lots")], "pods, object 1: Pod default/p: container c: .*cpu: 'lots' is not a quantity: write it"),
        ({"kind": "Pod", "metadata": {"generateName": "p-"}, "spec": {}}, r"pods: Pod \(nameless\) .* `name`"),
        ({"kind": "Pod", "metadata": {"name": "p"}}, "pods: Pod default/p .* `spec`"),
        (pod(""), "pods: Pod default/ has no name; give it metadata.name"),
        ({"kind": "x" * 9999, "metadata": {"name": "y" * 9999}}, "it is x{40} y{253}; every object"),
        ([{**pod(), "spec": {"nodeName": 3}}], r"pods, object 1: Pod default/p .*Expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_object(
    tmp_path: Path, content: bytes | Json | list[Json], words: str
) -> None:
    file = tmp_path / "pods"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ConfigRefused, match=words):
        read_pods(file, Defaults())


def test_aliases_that_stand_for_too_much_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "pods"
    file.write_text("a: &a [x, y, z]\nb: [*a, *a, *a]")
    with pytest.raises(ConfigRefused, match="pods: it is no YAML: its aliases stand for more than 10 values"):
        read_pods(file, Defaults(), Limits(values=10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"kind": "NodeList", "items": []}, "nodes: there is no Node in it; give what `kubectl get nodes -o json`"),
        (node("N1"), "nodes: Node 'N1' can have no such name; write it with lower case letters"),
        (node(""), "nodes: Node '' can have no such name"),
        ([node(), node()], "nodes, object 2: Node n1 is there already"),
    ],
)
def test_nodes_that_cannot_be(tmp_path: Path, content: Json | list[Json], words: str) -> None:
    file = tmp_path / "nodes"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigRefused, match=words):
        read_nodes(file)


def test_files_that_are_none_or_never_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"cannot read '.*none': No such file or directory; give what"):
        read_nodes(tmp_path / "none")
    with pytest.raises(ConfigRefused, match="Is a directory"):
        read_nodes(tmp_path)
    with pytest.raises(ConfigRefused, match="/dev/zero: it has more than 1 MiB; give fewer objects"):
        read_nodes(Path("/dev/zero"), Limits(file_bytes=1 << 20))
