"""Nodes and pods out of files: a Kubernetes List, single objects, or several YAML documents; JSON or YAML.

Knows forms of files and where an object stands in them, so that each refusal names file, object and remedy.  What the
API server fills in is filled in here: these objects may never have seen one.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from kmsched.core.model import Node, Pod
from kmsched.errors import ConfigRefused, ProtocolError
from kmsched.wire import kube_yaml
from kmsched.wire.kube import Defaults, decode_node, decode_pod
from kmsched.wire.pod_requests import HUGEPAGES_PREFIX
from kmsched.wire.typed import UNDECODABLE

Json = Mapping[str, Any]
T = TypeVar("T")

LIST = "List"
DEFAULT_NAMESPACE = "default"
#: characters of what is no object
SHOWN = 40
MAX_NAME = 253
REMEDY = "give what `kubectl get {plural} -o json` prints, or YAML with such objects"


@dataclass(frozen=True, slots=True)
class Limits:
    """`values`: that aliases of YAML stand for."""

    file_bytes: int = 256 << 20
    values: int = kube_yaml.MAX_VALUES


LIMITS = Limits()


def read_nodes(path: Path, limits: Limits = LIMITS) -> tuple[Node, ...]:
    """ConfigRefused: the file, or an object in it, cannot be read; two Nodes have one name; there is none."""
    found = tuple(_read(path, limits, "Node", _node, lambda node: node.name))
    if not found:
        raise ConfigRefused(f"{path}: there is no Node in it; {REMEDY.format(plural='nodes')}")
    return found


def read_pods(path: Path, defaults: Defaults, limits: Limits = LIMITS) -> tuple[Pod, ...]:
    """Pending and bound ones. ConfigRefused: the file, or an object in it, cannot be read; two pods have one name."""
    return tuple(_read(path, limits, "Pod", lambda obj: _pod(obj, defaults), lambda pod: pod.key))


def _read(
    path: Path, limits: Limits, kind: str, decode: Callable[[Json], T], name_of: Callable[[T], str]
) -> Iterator[T]:
    seen: dict[str, str] = {}
    for where, obj in _objects(_documents(path, limits, kind), str(path), kind):
        try:
            found = decode(obj)
        except ProtocolError as error:
            raise ConfigRefused(f"{where}: {error}") from None
        name = name_of(found)
        if name in seen:
            raise ConfigRefused(f"{where}: {kind} {name} is there already, as {seen[name]}; give each its own name")
        seen[name] = where
        yield found


def _documents(path: Path, limits: Limits, kind: str) -> Any:
    remedy = REMEDY.format(plural=f"{kind.lower()}s")
    try:
        with path.open("rb") as file:
            content = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise ConfigRefused(f"cannot read {str(path)!r}: {error.strerror}; {remedy}") from None
    if len(content) > limits.file_bytes:
        raise ConfigRefused(f"{path}: it has more than {limits.file_bytes >> 20} MiB; give fewer objects")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigRefused(f"{path}: byte {error.start} is not UTF-8; {remedy}") from None
    if not text.strip():
        raise ConfigRefused(f"{path}: it is empty; {remedy}")
    form = "JSON" if text.lstrip()[0] in "{[" else "YAML"
    try:
        return msgspec.json.decode(text) if form == "JSON" else kube_yaml.documents(text, limits.values)
    except (*UNDECODABLE, yaml.YAMLError) as error:
        raise ConfigRefused(f"{path}: it is no {form}: {error}; {remedy}") from None


def _objects(value: Any, where: str, kind: str, has_kind: bool = True) -> Iterator[tuple[str, Json]]:
    """Each object with the place where it stands. In a typed list of the API objects have no kind of their own."""
    if isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from _objects(each, f"{where}, object {number}", kind, has_kind)
        return
    if not isinstance(value, Mapping):
        raise ConfigRefused(f"{where}: {str(value)[:SHOWN]!r} is no Kubernetes object; {_wanted(kind)}")
    found = value.get("kind", "" if has_kind else kind)
    if isinstance(found, str) and found.endswith(LIST):
        if found not in (LIST, f"{kind}{LIST}"):
            raise ConfigRefused(f"{where}: it is a {found[:SHOWN]}; {_wanted(kind)}")
        yield from _objects(value.get("items") or [], where, kind, found == LIST)
    elif found == kind:
        yield where, value
    else:
        what = f"{str(found)[:SHOWN]} {_name(value)}" if found else f"{_name(value)} without a kind"
        raise ConfigRefused(f"{where}: it is {what}; {_wanted(kind)}")


def _wanted(kind: str) -> str:
    return f"every object must be of kind {kind}; {REMEDY.format(plural=f'{kind.lower()}s')}"


def _name(value: Json) -> str:
    metadata = value.get("metadata")
    return str(metadata.get("name", "(nameless)"))[:MAX_NAME] if isinstance(metadata, Mapping) else "(nameless)"


def _node(obj: Json) -> Node:
    status = obj.get("status")
    if isinstance(status, Mapping) and status.get("allocatable") is None and status.get("capacity") is not None:
        obj = {**obj, "status": {**status, "allocatable": status["capacity"]}}
    node = decode_node(obj)
    if node.name != node.name.lower() or not node.name:
        raise ProtocolError(f"Node {node.name!r} can have no such name; write it with lower case letters")
    return node


def _pod(obj: Json, defaults: Defaults) -> Pod:
    metadata, spec = obj.get("metadata"), obj.get("spec")
    if isinstance(metadata, Mapping) and not metadata.get("namespace"):
        obj = {**obj, "metadata": {**metadata, "namespace": DEFAULT_NAMESPACE}}
    if isinstance(spec, Mapping):
        listed = {name: spec[name] for name in ("containers", "initContainers") if isinstance(spec.get(name), list)}
        fill = functools.partial(_filled, is_on_host=spec.get("hostNetwork") is True)
        filled = {name: list(map(fill, found)) for name, found in listed.items()}
        whole = {"resources": _whole(spec["resources"], filled)} if isinstance(spec.get("resources"), Mapping) else {}
        obj = {**obj, "spec": {**spec, **filled, **whole}}
    pod = decode_pod(obj, defaults)
    if pod.key.endswith("/"):
        raise ProtocolError(f"Pod {pod.key} has no name; give it metadata.name")
    return pod


def _whole(resources: Json, containers: Mapping[str, list[Any]]) -> Json:
    """Of the pod as a whole: it requests its limit of what none of its containers requests, and of huge pages."""
    limits, requests = resources.get("limits"), resources.get("requests")
    if not isinstance(limits, Mapping):
        return resources
    asked: set[str] = set()
    for each in itertools.chain.from_iterable(containers.values()):
        of_one = each.get("resources") if isinstance(each, Mapping) else None
        asked |= set((of_one.get("requests") if isinstance(of_one, Mapping) else None) or ())
    taken = {
        name: amount for name, amount in limits.items() if name not in asked or str(name).startswith(HUGEPAGES_PREFIX)
    }
    return {**resources, "requests": {**taken, **(requests if isinstance(requests, Mapping) else {})}}


def _filled(container: Any, *, is_on_host: bool) -> Any:
    """What has a limit and no request requests its limit; on the host's network every port is one of the host."""
    if not isinstance(container, Mapping):
        return container
    filled = dict(container)
    resources, ports = container.get("resources"), container.get("ports")
    limits = resources.get("limits") if isinstance(resources, Mapping) else None
    if isinstance(resources, Mapping) and isinstance(limits, Mapping):
        requests = resources.get("requests")
        filled["resources"] = {
            **resources,
            "requests": {**limits, **(requests if isinstance(requests, Mapping) else {})},
        }
    if is_on_host and isinstance(ports, list):
        filled["ports"] = [
            {**port, "hostPort": port.get("hostPort") or port.get("containerPort")}
            if isinstance(port, Mapping)
            else port
            for port in ports
        ]
    return filled
